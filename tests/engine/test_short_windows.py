from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ctranslate2 import StorageView
from faster_whisper.audio import pad_or_trim

from whisper_server.engines.whisper.short_windows import Features, ShortWindowModel
from whisper_server.speech import decoding
from whisper_server.speech.recording import SAMPLE_RATE


@pytest.fixture(scope="module")
def model(hub: Path) -> ShortWindowModel:
    (snapshot,) = (hub / "models--Systran--faster-whisper-base" / "snapshots").iterdir()
    return ShortWindowModel(str(snapshot), device="cpu", compute_type="int8", cpu_threads=2)


@pytest.fixture
def encoded(model: ShortWindowModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames of each window that is encoded."""
    frames: list[int] = []

    def encode(features: Features) -> StorageView:
        frames.append(features.shape[-1])
        return super(ShortWindowModel, model).encode(features)

    monkeypatch.setattr(model, "encoder", encode)
    return frames


@pytest.fixture
def samples(speech: list[dict[str, Any]]) -> Features:
    path = next(entry["path"] for entry in speech if entry["file"].endswith("0870.wav"))
    with decoding.decode(path, 100) as sound:
        return sound.samples(0, sound.seconds)


def test_as_much_is_encoded_as_is_said_and_once_though_the_language_is_detected(
    model: ShortWindowModel, samples: Features, encoded: list[int]
) -> None:
    segments, info = model.transcribe(samples)
    assert "Dashwood" in "".join(segment.text for segment in segments)
    assert info.language == "en"
    assert encoded == [1100]  # 7.1 s and 3 s, in whole seconds


def test_a_short_recording_has_a_window_of_ten_seconds(
    model: ShortWindowModel, samples: Features, encoded: list[int]
) -> None:
    list(model.transcribe(samples[: 2 * SAMPLE_RATE], language="en")[0])
    assert encoded[0] == 1000


def test_an_implausible_text_is_decoded_again_in_the_whole_window(
    model: ShortWindowModel, samples: Features, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whisper_server.engines.whisper.short_windows._LOWEST_LOG_PROBABILITY", 0.0)
    assert "Dashwood" in "".join(segment.text for segment in model.transcribe(samples, language="en")[0])
    assert encoded == [1100, 3000]


def test_full_windows(model: ShortWindowModel, samples: Features, encoded: list[int]) -> None:
    with model.full_windows():
        list(model.transcribe(samples, language="en")[0])
    assert encoded == [3000]
    assert model.trim_windows


def test_nothing_to_hear(model: ShortWindowModel, encoded: list[int]) -> None:
    model.encode(np.zeros((80, 3000), dtype=np.float32))
    assert encoded == [1000]


def test_a_thread_s_windows_are_its_own(model: ShortWindowModel, samples: Features, encoded: list[int]) -> None:
    """A job waits in the middle of a window while a request uses the model, which then lets go of its own."""
    mine, others = (pad_or_trim(model.feature_extractor(sound)) for sound in (samples, samples[::-1]))

    def request() -> None:
        model.encode(others)
        model.forget()

    with ThreadPoolExecutor(1) as pool, model.full_windows():
        before = model.encode(mine)
        pool.submit(request).result()
        assert encoded[1] < encoded[0] == 3000, "the request's window is short"
        assert model.encode(mine) is before, "nothing is encoded twice"
