"""Telling speakers apart, as the engine asks for it; the models are tests/whisperx_api's."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from whisper_server.engines import interruptible
from whisper_server.engines.whisperx import diarization
from whisper_server.engines.whisperx.diarization import speaker_turns
from whisper_server.engines.whisperx.turns import Turn
from whisper_server.speech.options import Speakers
from whisper_server.speech.recording import Recording


class Left(Exception):
    pass


TURN = Turn(0.0, 1.0, "SPEAKER_00")
PIPELINE = SimpleNamespace(clustering=None, segmentation=SimpleNamespace(min_duration_off=0.0))


@pytest.fixture(autouse=True)
def slow_clustering(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(_: Any, __: Any, ___: int, progress: Any) -> None:
        for share in (0.0, 0.5, 1.0):
            progress(share)

    monkeypatch.setattr(diarization, "local_speakers", windows)
    monkeypatch.setattr(diarization, "people", lambda *_: time.sleep(0.3))
    monkeypatch.setattr(diarization, "turns", lambda *_: [TURN])
    monkeypatch.setattr(interruptible, "_ASK_SECONDS", 0.05)


def recording() -> Recording:
    made = Recording()
    made.append(np.zeros(16_000, dtype=np.int16))
    return made


def test_progress_is_told_through_all_steps() -> None:
    told: list[tuple[str, float]] = []
    with recording() as sound:
        found = speaker_turns(PIPELINE, sound, Speakers(), 2, lambda stage, share: told.append((stage, share)))
    assert found == [TURN]
    assert {stage for stage, _ in told} == {"speakers"}
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1, abs=0.05)
    assert len(shares) > 4, "nothing was told during clustering"


@pytest.mark.parametrize("step", [2, 4])
def test_a_client_that_left_ends_it(step: int) -> None:
    """Between windows, and during clustering, which is waited for no longer."""
    told = []

    def reached(_: str, share: float) -> None:
        told.append(share)
        if len(told) == step:
            raise Left

    with recording() as sound, pytest.raises(Left):
        speaker_turns(PIPELINE, sound, Speakers(), 2, reached)
    assert len(told) == step
