"""The way of a recording through its windows, without the models: they are tests/whisperx_api's."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from whisper_server.engines.whisperx import local_speakers as module
from whisper_server.engines.whisperx.local_speakers import local_speakers
from whisper_server.speech.recording import SAMPLE_RATE, Recording

FRAMES = 10


class Left(Exception):
    pass


def pipeline(batch: int = 4) -> Any:
    """Windows of 10 s every 2 s."""
    model = SimpleNamespace(receptive_field=SimpleNamespace(duration=0.9, step=1.0))
    return SimpleNamespace(
        _segmentation=SimpleNamespace(duration=10.0, step=2.0, model=model), segmentation_batch_size=batch
    )


def of(seconds: float) -> Recording:
    """A recording whose samples are their second."""
    recording = Recording()
    recording.append((np.arange(round(seconds * SAMPLE_RATE)) // SAMPLE_RATE).astype(np.int16))
    return recording


def models_that(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None] = lambda: None) -> None:
    """Stand for the models: the second in which each frame begins, and an embedding of each window's first second."""

    def diarized(_: Any, samples: Any) -> Any:
        work()
        seconds = np.rint(samples[:, ::SAMPLE_RATE][:, :FRAMES] * 32768)
        scores = np.repeat(seconds[:, :, None], 3, axis=2).astype(np.uint8)
        rows = np.arange(len(samples))
        return module._Batch(scores, scores > 0, seconds[:, :1].astype(np.float32), rows, rows % 3)

    monkeypatch.setattr(module, "_diarized", diarized)
    monkeypatch.setattr(module, "set_threads", lambda _: None)


@pytest.mark.parametrize(
    ("seconds", "windows"), [(0.5, 1), (10, 1), (10.01, 2), (12, 2), (12.0001, 3), (29, 11), (60, 26), (61, 27)]
)
@pytest.mark.parametrize(("batch", "at_once"), [(1, 1), (4, 2), (64, 3)])
def test_windows_cover_the_recording(
    monkeypatch: pytest.MonkeyPatch, seconds: float, windows: int, batch: int, at_once: int
) -> None:
    """As pyannote's `Inference` cuts it: the last one is filled up with silence."""
    models_that(monkeypatch)
    with of(seconds) as recording:
        found = local_speakers(pipeline(batch), recording, at_once, lambda _: None)
    assert found.scores.shape == found.active.shape == (windows, FRAMES, 3)
    for window in range(windows):
        expected = [2 * window + frame if 2 * window + frame < seconds else 0 for frame in range(FRAMES)]
        assert found.scores[window, :, 0].tolist() == expected
    assert found.window.tolist() == list(range(windows))
    assert found.embeddings[:, 0].tolist() == [2 * window for window in range(windows)]


def test_a_long_recording_is_never_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    models_that(monkeypatch)
    with of(250) as recording:
        lengths: list[float] = []
        read = recording.samples

        def samples(start: float, end: float) -> Any:
            lengths.append(end - start)
            return read(start, end)

        monkeypatch.setattr(recording, "samples", samples)
        local_speakers(pipeline(), recording, 2, lambda _: None)
    assert max(lengths) <= 16, "four windows"


def test_the_share_that_is_done_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    models_that(monkeypatch)
    told: list[float] = []
    with of(100) as recording:
        local_speakers(pipeline(), recording, 2, told.append)
    assert told == sorted(told)
    assert len(set(told)) == 12
    assert told[-1] == 1


def test_it_is_said_that_slow_models_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    models_that(monkeypatch, lambda: time.sleep(0.3))
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.05)
    told: list[float] = []
    with of(10) as recording:
        local_speakers(pipeline(), recording, 1, told.append)
    assert told.count(0.0) >= 2


def test_a_client_that_left_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a window is worked on, which goes on to its end; none of those that wait is begun."""
    begun = []
    end = threading.Event()

    def work() -> None:
        begun.append(True)
        end.wait(5)

    models_that(monkeypatch, work)
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.05)

    def progress(_: float) -> None:
        threading.Timer(0.2, end.set).start()
        raise Left

    with of(100) as recording, pytest.raises(Left):
        local_speakers(pipeline(), recording, 1, progress)
    assert len(begun) == 1
