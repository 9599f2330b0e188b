"""Telling speakers apart in recordings of any length, in the image of WhisperX, against pyannote.audio's own way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.diarization_error_rate import Turn, diarization_error_rate, turns_of
from testbed.in_the_image import MODELS_IN_THE_IMAGE, in_the_image
from testbed.meetings import RATE, meeting
from tests.whisperx_api.conftest import SPEECH
from whisper_server.speech.decoding import decode

SCRIPT = (Path(__file__).parent / "diarized_in_the_image.py").read_text(encoding="utf-8")
SAMPLE = SPEECH / "pyannote/sample.wav"


def diarized(samples: np.ndarray, *ways: dict[str, Any]) -> list[list[Turn]]:
    """The turns that are found in a recording in each of some ways; see `ours` of the script."""
    return [[Turn(*turn) for turn in turns] for turns in _asked(samples, ways, pyannote=False)["ours"]]


def beside_pyannote(samples: np.ndarray) -> tuple[list[Turn], list[Turn]]:
    """Our turns, and those of pyannote's own pipeline."""
    answer = _asked(samples, [{}], pyannote=True)
    return [Turn(*turn) for turn in answer["ours"][0]], [Turn(*turn) for turn in answer["theirs"]]


def _asked(samples: np.ndarray, ways: Sequence[dict[str, Any]], *, pyannote: bool) -> dict[str, Any]:
    pipeline = f"{MODELS_IN_THE_IMAGE}/diarization"
    given = {"samples": samples.tolist(), "pipeline": pipeline, "ways": ways, "pyannote": pyannote}
    answer: dict[str, Any] = in_the_image(SCRIPT, given)
    return answer


def people(turns: Sequence[Turn]) -> int:
    return len({turn.speaker for turn in turns})


def sample() -> np.ndarray:
    with decode(SAMPLE, 60) as recording:
        return np.asarray(recording.samples(0, recording.seconds) * 32768, np.int16)


def test_thirty_seconds_are_pyannote_s_own() -> None:
    ours, theirs = beside_pyannote(sample())
    assert diarization_error_rate(theirs, ours) < 0.01
    assert diarization_error_rate(turns_of(SAMPLE.with_suffix(".rttm")), ours) < 0.10


def test_five_minutes_are_no_worse_than_pyannote_s_own() -> None:
    made = meeting(5, 5)
    said = [Turn(turn.start, turn.end, turn.speaker) for turn in made.turns]
    ours, theirs = beside_pyannote(made.samples)
    assert people(ours) == 5
    assert diarization_error_rate(said, ours) < diarization_error_rate(said, theirs) + 0.005


def test_the_number_that_a_client_knows() -> None:
    """Of three people, in a recording that is clustered whole and where a sample is. Of 40 embeddings pyannote makes no
    fourth: each would have too few."""
    fewer: list[dict[str, int]] = [{"number": 1}, {"number": 2}, {"most": 2}, {"number": 3}, {}]
    more = [{"number": 4}, {"fewest": 4}]
    ways: list[dict[str, Any]] = [{"speakers": speakers} for speakers in (*fewer, *more)]
    ways += [{"speakers": speakers, "sample": 60} for speakers in fewer]
    found = [people(turns) for turns in diarized(meeting(3, 2).samples, *ways)]
    assert found == [1, 2, 2, 3, 3, 4, 4, 1, 2, 2, 3, 3]


def test_a_sample_finds_whom_the_whole_finds() -> None:
    whole, sampled = diarized(meeting(3, 3).samples, {}, {"sample": 60})
    assert diarization_error_rate(whole, sampled) < 0.03


def test_vbx_and_plda() -> None:
    """community-1's clustering with random weights: this proves the plumbing and the memory, not the accuracy."""
    ways = [{"with_vbx": True, "speakers": speakers} for speakers in ({}, {"number": 1}, {"number": 3})]
    found = diarized(meeting(3, 1).samples, *ways)
    assert [people(turns) for turns in found[1:]] == [1, 3]
    for turns in found:
        assert turns
        assert all(0 <= turn.start < turn.end <= 60.5 for turn in turns)


@pytest.mark.parametrize("seconds", [0.05, 0.4, 3])
def test_very_short_recordings(seconds: float) -> None:
    [turns] = diarized(meeting(1, 1).samples[RATE : RATE + round(seconds * RATE)], {})
    assert people(turns) <= 1


def test_silence_has_no_speakers() -> None:
    assert diarized(np.zeros(20 * RATE, np.int16), {}) == [[]]


@pytest.mark.parametrize("vbx", [False, True])
def test_clustering_of_twelve_hours_takes_little_memory(vbx: bool) -> None:
    """The longest recording that a server takes by default, in community-1's windows: 240 MB are what they hear."""
    answer = in_the_image(SCRIPT, {"hours": 12, "vbx": vbx})
    assert answer["windows"] == 12 * 3600 - 9
    assert answer["people"] == 8
    assert answer["megabytes"] < 400
