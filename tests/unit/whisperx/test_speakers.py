from collections.abc import Sequence

import pytest

from whisper_server.engines.whisperx.speakers import at_turns, by_speaker
from whisper_server.engines.whisperx.turns import SpeakerTurns, Turn
from whisper_server.speech.transcript import UNKNOWN_SPEAKER, Segment, Word


def segment(words: Sequence[tuple[str, float, float]]) -> Segment:
    said = [Word(start, end, word, 1.0) for word, start, end in words]
    text = "".join(word.word for word in said)
    return Segment(0, 0, said[0].start, said[-1].end, text, (), 0.0, 0.0, 1.0, 0.0, said)


def parts(turns: Sequence[Turn], words: Sequence[tuple[str, float, float]]) -> list[tuple[str | None, str]]:
    return [(part.speaker, part.text) for part in by_speaker(segment(words), SpeakerTurns(turns))]


def test_words_at_which_two_speak_stay_in_their_sentence() -> None:
    turns = [Turn(21.8, 28.6, "B"), Turn(27.8, 29.9, "A")]
    words = [(" Oh,", 28.4, 28.44), (" I", 28.44, 28.52), (" don't", 28.52, 28.7), (" hear", 28.7, 28.84)]
    assert parts(turns, words) == [("A", " Oh, I don't hear")]


def test_a_sentence_ends_where_its_speaker_does() -> None:
    turns = [Turn(0.0, 2.0, "B"), Turn(1.8, 4.0, "A")]
    words = [(" Are", 0.5, 0.8), (" you?", 0.8, 1.5), (" Yes,", 2.1, 2.5), (" I", 2.5, 2.8), (" am.", 2.8, 3.9)]
    assert parts(turns, words) == [("B", " Are you?"), ("A", " Yes, I am.")]


def test_a_word_belongs_to_who_speaks_longest_during_it() -> None:
    """Also in several turns: what is said in between counts."""
    turns = [Turn(0.0, 0.4, "A"), Turn(0.4, 1.0, "B"), Turn(1.0, 1.4, "A")]
    assert parts(turns, [(" Well", 0.0, 1.4)]) == [("A", " Well")]


def test_a_word_in_a_pause_is_the_one_s_who_spoke_before() -> None:
    turns = [Turn(0.0, 1.0, "A"), Turn(3.0, 4.0, "B")]
    words = [(" So", 0.2, 0.8), (" er", 1.5, 1.6), (" yes", 3.1, 3.9)]
    assert parts(turns, words) == [("A", " So er"), ("B", " yes")]


@pytest.mark.parametrize("turns", [[], [Turn(50, 60, "A")]])
def test_nobody_was_heard_to_speak(turns: Sequence[Turn]) -> None:
    assert parts(turns, [(" Hm", 1.0, 1.0)]) == [(UNKNOWN_SPEAKER, " Hm")]


def test_parts_begin_and_end_with_their_speaker_s_turns() -> None:
    turns = SpeakerTurns([Turn(0.4, 2.3, "A"), Turn(2.1, 9.0, "B")])
    said = segment([(" Are", 0.6, 1.0), (" you?", 1.0, 2.0), (" Yes.", 2.4, 3.0)])
    found = [(part.speaker, part.start, part.end) for part in at_turns(by_speaker(said, turns), turns)]
    assert found == [("A", 0.4, 2.3), ("B", 2.1, 4.0)]
