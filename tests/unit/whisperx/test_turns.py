"""When each person speaks, out of windows of 10 frames every 2 frames of a second each."""

from collections.abc import Sequence

import numpy as np
import pytest

from whisper_server.engines.whisperx import turns as module
from whisper_server.engines.whisperx.local_speakers import LocalSpeakers, Windows
from whisper_server.engines.whisperx.turns import NOBODY, SpeakerTurns, Turn, turns

FRAMES, STEP, LOCAL = 10, 2, 2


def heard(speech: Sequence[str], scores: Sequence[float] = (1.0, 0.9)) -> tuple[LocalSpeakers, np.ndarray]:
    """What windows hear of people whose frames of speech are marked, one line for each; the people of each window.

    In every other window local speakers are numbered the other way round.
    """
    marked = np.array([[mark != " " for mark in line] for line in speech])
    number = 1 + (marked.shape[1] - FRAMES) // STEP
    active = np.zeros((number, FRAMES, LOCAL), bool)
    people = np.full((number, LOCAL), NOBODY, np.int16)
    for window in range(number):
        for person, line in enumerate(marked[:, window * STEP :][:, :FRAMES]):
            local = (person + window) % LOCAL
            active[window, :, local] = line
            people[window, local] = person if line.any() else NOBODY
    surely = np.array([[scores[person] if person != NOBODY else 0 for person in row] for row in people])
    values = np.rint(active * surely[:, None] * 255).astype(np.uint8)
    none = np.empty(0, np.int64)
    return LocalSpeakers(Windows(10, 2, 1, 1), values, active, np.empty((0, 4), np.float32), none, none), people


def marks(found: Sequence[Turn], speaker: str, length: int) -> str:
    """A line like those that `heard` takes, of the frames whose middle lies in a turn."""
    own = [turn for turn in found if turn.speaker == speaker]
    return "".join("x" if any(t.start <= i + 0.5 < t.end for t in own) else " " for i in range(length))


LINES = ("  xxxxxx          xxxx        ", "       xxxxxxxxx       xxxxx  ")


@pytest.mark.parametrize("block", [7, 10, 30_000])
def test_turns_are_what_was_said(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Also where people talk at once, and whatever the blocks are in which it is worked out."""
    monkeypatch.setattr(module, "_BLOCK_FRAMES", block)
    found = turns(*heard(LINES), 0.0)
    assert [marks(found, name, 30) for name in ("SPEAKER_00", "SPEAKER_01")] == list(LINES)
    assert found == sorted(found)


def test_whoever_speaks_first_is_speaker_00() -> None:
    found = turns(*heard(LINES[::-1]), 0.0)
    assert [marks(found, name, 30) for name in ("SPEAKER_00", "SPEAKER_01")] == list(LINES)


def test_where_one_speaks_the_surer_one_does() -> None:
    """Half of the windows take one person's words for another's: the count says that one speaks."""
    found, people = heard(["   xxxx               ", "   xxxx               "], scores=(0.6, 0.7))
    found.active[:, :, 1] = False
    assert {turn.speaker for turn in turns(found, people, 0.0)} == {"SPEAKER_00"}
    assert marks(turns(found, people, 0.0), "SPEAKER_00", 22) == "   xxxx               "


def test_there_are_never_more_speakers_than_people() -> None:
    """Windows may count two where clustering found one."""
    found, people = heard(["xxxxxxxxxxxx", "  xxxxxx    "])
    people[people != NOBODY] = 0
    assert {turn.speaker for turn in turns(found, people, 0.0)} == {"SPEAKER_00"}


def test_speech_to_the_last_frame() -> None:
    [turn] = turns(*heard(["        xxxx", "            "]), 0.0)
    assert turn.start == 8.5
    assert turn.end == pytest.approx(12, abs=0.6)


@pytest.mark.parametrize(("pause", "number"), [(0.0, 2), (3.0, 2), (3.1, 1)])
def test_pauses_that_end_no_turn(pause: float, number: int) -> None:
    assert len(turns(*heard([" xxx   xxx  ", "            "]), pause)) == number


def test_silence() -> None:
    assert turns(*heard([" " * 12, " " * 12]), 0.0) == []


def test_turns_at_a_time() -> None:
    told = [Turn(0, 100, "A"), Turn(1, 2, "B"), Turn(3, 4, "B"), Turn(120, 130, "A"), Turn(125, 126, "B")]
    found = SpeakerTurns(told)
    for start in (0, 1.5, 2, 3, 99, 100, 119, 120, 125.5, 130, 200):
        for length in (0, 0.5, 1, 30):
            expected = [turn for turn in told if turn.start < start + length and turn.end > start]
            assert found.during(start, start + length) == expected
