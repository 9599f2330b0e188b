"""What makes the engine fast must not make it understand less: it is held against whole windows."""

import wave
from typing import Any

import numpy as np
import pytest

from tests.api.accuracy import errors
from whisper_api import audio, inference
from whisper_api.engine import Options
from whisper_api.settings import Settings
from whisper_faster import short_windows
from whisper_faster.engine import FasterWhisperEngine

BASE = "Systran/faster-whisper-base"

pytestmark = pytest.mark.model

# Of the word error rate, of all recordings together and of one; in a short one a single word is more than that.
MOST_POINTS = 0.3
MOST_POINTS_OF_ONE = 5.0
MOST_WORDS_OF_ONE = 1.0
# An output that never ends has several times the words.
RUN_AWAY = 2.0

# Digits that the model gets wrong with float32 weights, and right with those of 8 bits, by chance.
_WRONG_IN_FLOAT32 = {"audioeval/hi/ginti.wav": 3.0}

Heard = dict[str, tuple[str, float, int]]


@pytest.fixture(scope="module")
def recordings(speech: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Those whose text is known, and one that is long: the English ones, each after a second of silence."""
    known = [recording for recording in speech if recording["text"]]
    english = [recording for recording in known if recording["language"] == "en"]
    path = tmp_path_factory.mktemp("speech") / "joined.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.SAMPLE_RATE)
        for recording in english:
            with audio.decode(recording["path"], 1000) as sound:
                samples = sound.samples(0, sound.seconds)
            file.writeframes((samples * 32767).astype(np.int16).tobytes() + bytes(2 * audio.SAMPLE_RATE))
    text = " ".join(recording["text"] for recording in english)
    return [*known, {"file": "joined.wav", "path": path, "language": "en", "text": text}]


def heard(recordings: list[dict[str, Any]], **settings: Any) -> Heard:
    """Text, wrong words and words to be heard of each recording."""
    engine = FasterWhisperEngine(Settings(model=BASE, **settings))
    found = {}
    for recording in recordings:
        options = Options(model=BASE, language=recording["language"])
        text = inference.transcribe(engine, recording["path"], options, 1000, lambda *_: None).text
        found[recording["file"]] = (text, *errors(recording["text"], text, recording["language"], recording["file"]))
    return found


@pytest.fixture(scope="module")
def whole(recordings: list[dict[str, Any]]) -> Heard:
    return heard(recordings, encoder="ctranslate2", short_windows=False, batch_size=1)


def complaints(whole: Heard, short: Heard) -> list[str]:
    """What is understood worse than it may be."""
    found = []
    for file, (text, wrong, words) in short.items():
        before = max(whole[file][1], _WRONG_IN_FLOAT32.get(file, 0.0))
        if wrong - before > max(MOST_WORDS_OF_ONE, words * MOST_POINTS_OF_ONE / 100):
            found.append(f"{file}: {before:.1f} -> {wrong:.1f} of {words} words wrong: {text}")
    before, after = (100 * sum(w for _, w, _ in h.values()) / sum(n for _, _, n in h.values()) for h in (whole, short))
    if after - before > MOST_POINTS:
        found.append(f"all: {before:.2f} -> {after:.2f} % wrong")
    return found


def runs_away(short: Heard) -> list[str]:
    return [file for file, (_, wrong, words) in short.items() if wrong > RUN_AWAY * words + 2]


@pytest.mark.parametrize("encoder", ["ctranslate2", "auto"])
def test_no_more_is_misheard_than_with_whole_windows(
    recordings: list[dict[str, Any]], whole: Heard, encoder: str
) -> None:
    short = heard(recordings, encoder=encoder)
    assert not complaints(whole, short)
    assert not runs_away(short)


def test_taking_out_the_guard_of_probability_is_noticed(
    recordings: list[dict[str, Any]], whole: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_windows, "_LOWEST_LOG_PROBABILITY", -100.0)
    assert complaints(whole, heard(recordings))


def test_taking_out_the_silence_behind_the_speech_is_noticed(
    recordings: list[dict[str, Any]], whole: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what then runs away is held back by the guard of repetition."""
    monkeypatch.setattr(short_windows, "_PADDING_SECONDS", 0)
    monkeypatch.setattr(short_windows, "_SHORTEST_SECONDS", 0)
    guarded = heard(recordings)
    assert complaints(whole, guarded)
    assert not runs_away(guarded)
    monkeypatch.setattr(short_windows, "_HIGHEST_COMPRESSION_RATIO", 100.0)
    assert runs_away(heard(recordings))


SPEECH_BEGINS = 50364  # the token of 0 seconds


def times(*moments: float) -> list[int]:
    return [token for moment in moments for token in (440, SPEECH_BEGINS + round(moment * 50))]


@pytest.mark.parametrize(
    ("end", "log_probability", "compression_ratio", "expected"),
    [
        (6.5, -0.3, 1.5, True),
        (4.9, -0.3, 1.5, False),  # the end of the text is missing
        (8.2, -0.3, 1.5, False),  # text where nobody speaks
        (6.5, -0.8, 1.5, False),
        (6.5, -0.3, 2.5, False),
    ],
)
def test_what_is_decoded_again(end: float, log_probability: float, compression_ratio: float, expected: bool) -> None:
    tokens = [SPEECH_BEGINS, *times(end)]
    assert short_windows.plausible(tokens, log_probability, compression_ratio, 7.0, SPEECH_BEGINS) == expected
