"""Meetings of voices that are tones, each of its own pitch, with pauses between their words."""

import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from testbed import meetings
from testbed.meetings import RATE, Meeting, meeting, write

PITCH = {"low": 200, "middle": 400, "high": 800}


@pytest.fixture(autouse=True)
def tones(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(name: str, *_: float) -> np.ndarray:
        word = 0.3 * np.sin(2 * np.pi * PITCH[name] * np.arange(RATE) / RATE)
        return np.tile(np.append(word, np.zeros(RATE // 2)), 8).astype(np.float32)

    monkeypatch.setattr(meetings, "VOICES", {name: [(name, 0, 0)] for name in PITCH})
    monkeypatch.setattr(meetings, "_read", read)


@pytest.fixture
def made() -> Meeting:
    return meeting(3, 4)


def test_it_has_the_length_and_the_people_that_were_asked_for(made: Meeting) -> None:
    assert len(made.samples) == 4 * 60 * RATE
    assert {turn.speaker for turn in made.turns} == set(PITCH)


def test_people_are_heard_in_their_turns(made: Meeting) -> None:
    for turn in made.turns:
        part = made.samples[round(turn.start * RATE) : round(turn.end * RATE)]
        spectrum = np.abs(np.fft.rfft(part.astype(float)))
        own = spectrum[round(PITCH[turn.speaker] * len(part) / RATE)]
        assert own > 0.3 * spectrum.max(), turn


def test_it_is_quiet_where_nobody_has_a_turn(made: Meeting) -> None:
    spoken = np.zeros(len(made.samples), bool)
    for turn in made.turns:
        spoken[round(turn.start * RATE) : round(turn.end * RATE)] = True
    assert 0.4 < spoken.mean() < 0.9
    assert np.abs(made.samples[~spoken]).max() < 0.01 * np.abs(made.samples).max()


def test_people_talk_at_once_but_nobody_with_themselves(made: Meeting) -> None:
    for name in PITCH:
        assert all(one.end <= other.start for one, other in pairwise(t for t in made.turns if t.speaker == name))
    assert any(other.start < one.end for one, other in pairwise(made.turns))


def test_the_same_arguments_give_the_same_meeting(made: Meeting) -> None:
    assert meeting(3, 4).turns == made.turns
    assert np.array_equal(meeting(3, 4).samples, made.samples)
    assert meeting(3, 4, seed=1).turns != made.turns


def test_files(made: Meeting, tmp_path: Path) -> None:
    sound, turns = write(tmp_path, 3, 4)
    with wave.open(str(sound)) as file:
        assert file.readframes(file.getnframes()) == made.samples.tobytes()
    lines = [line.split() for line in turns.read_text().splitlines()]
    assert [(line[0], float(line[3]), line[7]) for line in lines] == [
        ("SPEAKER", round(turn.start, 3), turn.speaker) for turn in made.turns
    ]
