from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from whisper_api.audio import Recording
from whisper_api.engine import Speakers
from whisperx_engine.diarization import speaker_turns


class Left(Exception):
    pass


def test_a_client_that_left_ends_diarization_at_the_next_step() -> None:
    """WhisperX calls `progress_callback` after each batch of windows, and does not catch what it raises."""
    steps: list[float] = []

    def pipeline(samples: Any, progress_callback: Callable[[float], None], **_: Any) -> None:
        assert len(samples) == 16_000
        for percent in (10.0, 20.0, 30.0):
            steps.append(percent)
            progress_callback(percent)

    told: list[tuple[str, float]] = []

    def reached(stage: str, share: float) -> None:
        told.append((stage, share))
        if len(steps) == 2:
            raise Left

    with Recording() as recording:
        recording.append(np.zeros(16_000, dtype=np.int16))
        with pytest.raises(Left):
            speaker_turns(pipeline, recording, Speakers(), reached)
    assert steps == [10.0, 20.0]
    assert told == [("speakers", 0.1), ("speakers", 0.2)]
