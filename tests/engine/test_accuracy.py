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

# Of the word error rate, of all recordings together and of one; in a short one a single word is more than that.
MOST_POINTS = 0.3
MOST_POINTS_OF_ONE = 5.0
MOST_WORDS_OF_ONE = 1.0
# With fewer words the letters of one recording are compared too, without regard to spaces: a word that is written in
# two, which depends on the processor's arithmetic, would be two or three wrong words of seven.
FEW_WORDS = 20
# An output that never ends has several times the words.
RUN_AWAY = 2.0

# Left to `make bench SUITE=whisper_faster`: nothing is understood at any temperature, for which it takes as long as for
# ten others.
_LEFT_OUT = "audioeval/pl/witaj_swiecie.wav"

# What is misheard, or runs away, when one or the other guard is taken out.
_GUARDED = {
    "audioeval/en/counting.wav",
    "audioeval/fr/comptage.wav",
    "audioeval/hi/namaste_duniya.wav",
    "audioeval/zh/pangrama.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0880.wav",
}

# Text, wrong words and words to be heard; the share of its letters that is wrong.
Heard = dict[str, tuple[str, float, int, float]]


@pytest.fixture(scope="module")
def recordings(speech: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Those whose text is known, and one that is long: the English ones, each before a second of silence."""
    known = [recording for recording in speech if recording["text"] and recording["file"] != _LEFT_OUT]
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
    """How each recording is understood."""
    engine = FasterWhisperEngine(Settings(model=BASE, **settings))
    found = {}
    for recording in recordings:
        options = Options(model=BASE, language=recording["language"])
        text = inference.transcribe(engine, recording["path"], options, 1000, lambda *_: None).text
        told = (recording["text"], text, recording["language"], recording["file"])
        wrong, letters = errors(*told, letters=True)
        found[recording["file"]] = (text, *errors(*told), wrong / letters)
    return found


@pytest.fixture(scope="module")
def whole(recordings: list[dict[str, Any]]) -> Heard:
    return heard(recordings, encoder="ctranslate2", short_windows=False, batch_size=1)


@pytest.fixture(scope="module")
def guarded(recordings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [recording for recording in recordings if recording["file"] in _GUARDED]


def misheard(whole: Heard, short: Heard) -> list[str]:
    """The recordings that are understood worse than one may be."""
    worse = []
    for file, (text, wrong, words, share) in short.items():
        more = wrong - whole[file][1]
        if words < FEW_WORDS:
            more = min(more, words * (share - whole[file][3]))
        if more > max(MOST_WORDS_OF_ONE, words * MOST_POINTS_OF_ONE / 100):
            worse.append(f"{file}: {whole[file][1]:.1f} -> {wrong:.1f} of {words} words wrong, {more:.1f} more: {text}")
    return worse


def percent_wrong(heard: Heard) -> float:
    return 100 * sum(wrong for _, wrong, _, _ in heard.values()) / sum(words for _, _, words, _ in heard.values())


def runs_away(short: Heard) -> list[str]:
    return [file for file, (_, wrong, words, _) in short.items() if wrong > RUN_AWAY * words + 2]


@pytest.mark.parametrize("encoder", ["ctranslate2", "auto"])
def test_no_more_is_misheard_than_with_whole_windows(
    recordings: list[dict[str, Any]], whole: Heard, encoder: str
) -> None:
    short = heard(recordings, encoder=encoder)
    assert not misheard(whole, short)
    assert percent_wrong(short) <= percent_wrong(whole) + MOST_POINTS
    assert not runs_away(short)


def test_taking_out_the_guard_of_probability_is_noticed(
    guarded: list[dict[str, Any]], whole: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_windows, "_LOWEST_LOG_PROBABILITY", -100.0)
    assert misheard(whole, heard(guarded))


def test_taking_out_the_silence_behind_the_speech_is_noticed(
    guarded: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is decoded again in whole windows, and the guard of repetition is all that holds back what runs away."""
    judged: list[bool] = []

    def plausible(*arguments: Any) -> bool:
        judged.append(judge(*arguments))
        return judged[-1]

    judge = short_windows.plausible
    monkeypatch.setattr(short_windows, "plausible", plausible)
    heard(guarded)
    again_with_silence = judged.count(False)
    judged.clear()
    monkeypatch.setattr(short_windows, "_PADDING_SECONDS", 0)
    monkeypatch.setattr(short_windows, "_SHORTEST_SECONDS", 0)
    assert not runs_away(heard(guarded))
    assert judged.count(False) > again_with_silence
    monkeypatch.setattr(short_windows, "_HIGHEST_COMPRESSION_RATIO", 100.0)
    assert runs_away(heard(guarded))
