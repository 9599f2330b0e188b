"""Telling speakers apart in recordings of any length, in the image of WhisperX, against pyannote.audio's own way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.meetings import RATE, meeting
from tests.whisperx_api.conftest import SPEECH
from tests.whisperx_api.diarization_error import Turn, diarization_error_rate, turns_of
from tests.whisperx_api.in_the_image import MODELS_IN_THE_IMAGE, in_the_image
from whisper_api.audio import decode

SCRIPT = (Path(__file__).parent / "diarized_in_the_image.py").read_text(encoding="utf-8")
SAMPLE = SPEECH / "pyannote/sample.wav"


def diarized(samples: np.ndarray, **given: Any) -> dict[str, Any]:
    """What the script tells of a recording."""
    given = {"samples": samples.tolist(), "pipeline": f"{MODELS_IN_THE_IMAGE}/diarization", **given}
    answer: dict[str, Any] = in_the_image(SCRIPT, given)
    return answer


def turns(answer: dict[str, Any], of: str) -> list[Turn]:
    return [Turn(*turn) for turn in answer[of]]


def sample() -> np.ndarray:
    with decode(SAMPLE, 60) as recording:
        return np.asarray(recording.samples(0, recording.seconds) * 32768, np.int16)


def test_thirty_seconds_are_pyannote_s_own() -> None:
    answer = diarized(sample(), pyannote=True)
    ours, theirs = turns(answer, "ours"), turns(answer, "theirs")
    assert diarization_error_rate(theirs, ours) < 0.01
    assert diarization_error_rate(turns_of(SAMPLE.with_suffix(".rttm")), ours) < 0.10


@pytest.mark.parametrize("people", [2, 5])
def test_five_minutes_are_no_worse_than_pyannote_s_own(people: int) -> None:
    made = meeting(people, 5)
    said = [Turn(turn.start, turn.end, turn.speaker) for turn in made.turns]
    answer = diarized(made.samples, pyannote=True)
    ours, theirs = turns(answer, "ours"), turns(answer, "theirs")
    assert len({turn.speaker for turn in ours}) == people
    assert diarization_error_rate(said, ours) < diarization_error_rate(said, theirs) + 0.005


@pytest.mark.parametrize(
    ("speakers", "expected"),
    [({"number": 1}, {1}), ({"number": 2}, {2}), ({"number": 4}, {4}), ({"most": 2}, {2}), ({"fewest": 4}, {4, 5, 6})],
)
def test_the_number_that_a_client_knows(speakers: dict[str, int], expected: set[int]) -> None:
    """Of three people, in a recording that is clustered whole, and in one of which a sample is."""
    samples = meeting(3, 2).samples
    for sampled in (3000, 20):
        answer = diarized(samples, speakers=speakers, sample=sampled)
        assert len({turn.speaker for turn in turns(answer, "ours")}) in expected


def test_a_sample_finds_whom_the_whole_finds() -> None:
    made = meeting(3, 5)
    whole, sampled = (turns(diarized(made.samples, sample=size), "ours") for size in (3000, 60))
    assert diarization_error_rate(whole, sampled) < 0.03


def test_vbx_and_plda() -> None:
    """community-1's clustering with random weights: this proves the plumbing and the memory, not the accuracy."""
    answer = diarized(meeting(3, 2).samples, vbx=True)
    assert answer["ours"]
    assert all(0 <= turn.start < turn.end <= 120.5 for turn in turns(answer, "ours"))
    for number in (1, 3):
        answer = diarized(meeting(3, 2).samples, vbx=True, speakers={"number": number})
        assert len({turn.speaker for turn in turns(answer, "ours")}) == number


@pytest.mark.parametrize("seconds", [0.05, 0.4, 3])
def test_very_short_recordings(seconds: float) -> None:
    samples = meeting(1, 1).samples[RATE : RATE + round(seconds * RATE)]
    assert len({turn.speaker for turn in turns(diarized(samples), "ours")}) <= 1


def test_silence_has_no_speakers() -> None:
    assert diarized(np.zeros(20 * RATE, np.int16))["ours"] == []


@pytest.mark.parametrize("vbx", [False, True])
def test_clustering_of_twelve_hours_takes_little_memory(vbx: bool) -> None:
    """The longest recording that a server takes by default, in community-1's windows: 240 MB are what they hear."""
    answer = in_the_image(SCRIPT, {"hours": 12, "vbx": vbx})
    assert answer["windows"] == 12 * 3600 - 9
    assert answer["people"] == 8
    assert answer["megabytes"] < 400
