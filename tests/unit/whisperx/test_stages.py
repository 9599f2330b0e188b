"""Progress reports of the stages that WhisperX adds, without its models."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tests.unit.whisper_server.scripted_engine import segment
from whisper_server.engines.whisperx import alignment
from whisper_server.engines.whisperx.alignment import AlignModel, aligned
from whisper_server.engines.whisperx.engine import _InOrder
from whisper_server.speech.engine import Stage
from whisper_server.speech.recording import Recording
from whisper_server.speech.transcript import Segment

SEGMENTS = [segment(number, f" {number}.") for number in range(6)]


class Cancelled(Exception):
    pass


@pytest.fixture
def recording() -> Iterator[Recording]:
    with Recording() as recording:
        recording.append(np.zeros(6 * 16_000, dtype=np.int16))
        yield recording


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Lets the model, which takes its time for every segment, go on."""
    go = threading.Event()

    def slowly(found: Segment, *_: object) -> Segment:
        assert go.wait(30)
        return found

    monkeypatch.setattr(alignment, "_aligned", slowly)
    monkeypatch.setattr(alignment, "_ASK_SECONDS", 0.01)
    yield go
    go.set()


def test_what_is_left_to_align_is_told_when_the_text_is_there(recording: Recording, go: threading.Event) -> None:
    told: list[tuple[Stage, float]] = []

    def reached(stage: Stage, share: float) -> None:
        told.append((stage, share))
        if len(told) == 3:
            go.set()

    found = list(aligned(SEGMENTS, recording, AlignModel(None, {}, "cpu"), 1, reached))
    assert found == SEGMENTS
    assert told[:3] == [("alignment", 0.0)] * 3, "it is asked while it waits for the first"
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_a_cancel_ends_aligning(recording: Recording, go: threading.Event) -> None:
    def reached(stage: Stage, _: float) -> None:
        go.set()  # what is under way is waited for
        raise Cancelled(stage)

    with pytest.raises(Cancelled, match="alignment"):
        list(aligned(SEGMENTS, recording, AlignModel(None, {}, "cpu"), 1, reached))


def test_text_that_is_sought_before_speakers_are_told_apart_is_no_stage() -> None:
    told: list[tuple[Stage, float]] = []
    stages = _InOrder(lambda stage, share: told.append((stage, share)), speakers_first=True)
    stages("text", 0.1)
    stages("speakers", 0.5)
    stages.begin_text()
    stages("text", 0.1)
    assert told == [("speakers", 0.0), ("speakers", 0.5), ("text", 0.1)]
