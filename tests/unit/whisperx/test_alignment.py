from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisper_server.engines.whisperx import alignment
from whisper_server.engines.whisperx.alignment import parts
from whisper_server.speech.transcript import Segment, Word

LONGEST = 10.0


def segment(words: list[Word]) -> Segment:
    text = "".join(word.word for word in words)
    return Segment(0, 0, words[0].start, words[-1].end, text, (), 0.0, -0.3, 1.2, 0.0, words)


def spoken(*durations_and_silences: tuple[float, float]) -> Segment:
    """A word for each pair, of so many seconds and with so many of silence behind it."""
    words, moment = [], 3.0
    for number, (duration, silence) in enumerate(durations_and_silences):
        words.append(Word(moment, moment + duration, f" word{number}", 0.9))
        moment += duration + silence
    return segment(words)


def test_a_short_segment_stays_whole() -> None:
    short = spoken((1.0, 0.5), (1.0, 0.0))
    assert parts(short) == [short]


def test_a_long_segment_is_cut_at_the_longest_silence_near_its_middle() -> None:
    cut = parts(spoken((1.0, 2.0), (2.0, 0.1), (2.0, 0.4), (2.0, 0.1), (2.0, 0.0)))
    assert [part.text for part in cut] == [" word0 word1 word2", " word3 word4"]


def test_a_segment_whose_words_are_not_its_text_stays_whole() -> None:
    odd = replace(spoken((9.0, 0.5), (9.0, 0.0)), text=" something else")
    assert parts(odd) == [odd]


@given(st.lists(st.tuples(st.floats(0.0, 4.0), st.floats(0.0, 4.0)), min_size=1, max_size=60))
def test_parts_are_short_and_lose_nothing(durations_and_silences: list[tuple[float, float]]) -> None:
    whole = spoken(*durations_and_silences)
    cut = parts(whole)
    assert "".join(part.text for part in cut) == whole.text
    assert [word for part in cut for word in part.words] == list(whole.words)
    assert all(part.end - part.start <= LONGEST or len(part.words) == 1 for part in cut)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_model_takes_the_memory_of_its_weights(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_bytes(bytes(1000))
    (tmp_path / "config.json").write_bytes(bytes(500))
    assert alignment._stored_bytes(str(tmp_path)) == 1000


@pytest.mark.parametrize("name", ["WAV2VEC2_ASR_BASE_960H", "organisation/not-downloaded", "/nonexistent"])
def test_one_whose_file_is_unknown_takes_what_most_take(name: str) -> None:
    assert alignment._stored_bytes(name) == 380_000_000
