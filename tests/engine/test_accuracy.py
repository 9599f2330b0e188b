"""What makes the engine fast must not make it understand less: it is compared with whole windows on the same machine.

`make test` compares some of the recordings, `make test-all` all of them.
"""

import os
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from testbed.word_error_rate import errors
from tests.engine.conftest import BASE
from whisper_server.engines.whisper import short_windows
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.process.settings import Settings
from whisper_server.speech import decoding
from whisper_server.speech.options import Options
from whisper_server.speech.recording import SAMPLE_RATE
from whisper_server.work import inference

# Of the word error rate, of all recordings together and of one; in a short one a single word is more than that.
MOST_POINTS = 0.3
MOST_POINTS_OF_ONE = 5.0
MOST_WORDS_OF_ONE = 1.0
# With fewer words the letters of one recording are compared too, without regard to spaces: the processor's arithmetic
# decides whether a name that the model does not know is written "vituperabile" or "vito perabile", which would be three
# wrong words of seven.
FEW_WORDS = 20
# An output that never ends has several times the words.
RUN_AWAY = 2.0

# Left to `make bench SUITE=whisper_faster`: nothing is understood at any temperature, for which it takes as long as for
# ten others.
_LEFT_OUT = "audioeval/pl/witaj_swiecie.wav"

# Misheard without the guard of probability.
_GUESSED = ("audioeval/hi/namaste_duniya.wav", "audioeval/zh/pangrama.wav")
# Run away without silence behind the speech and the guard of repetition.
_REPEATED = ("audioeval/en/counting.wav", "audioeval/en/hello_world.wav", "audioeval/es/hola_mundo.wav")
# All others that windows of different length, on one processor or another, make different mistakes in, for better or
# worse: what remains is understood alike, and cannot change the sum of wrong words.
_DIFFERING = (
    "audioeval/es/pangrama.wav",
    "audioeval/fr/comptage.wav",
    "audioeval/hi/ginti.wav",
    "audioeval/hi/pangrama.wav",
    "audioeval/it/pangrama.wav",
    "audioeval/ja/kazoeru.wav",
    "audioeval/ja/pangrama.wav",
    "audioeval/pl/pangrama.wav",
    "audioeval/pt/ola_mundo.wav",
    "audioeval/pt/pangrama.wav",
    "audioeval/zh/nihao_shijie.wav",
    "pyannote/sample.wav",
)
_SELECTED = {*_GUESSED, *_REPEATED, *_DIFFERING}


@dataclass(frozen=True)
class Heard:
    """What became of a recording; `share` of its letters is wrong, `again` of its windows were decoded again."""

    text: str
    wrong: float
    words: int
    share: float
    again: int

    @property
    def wrong_by_letters(self) -> float:
        return self.words * self.share


@pytest.fixture(scope="module")
def recordings(speech: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Those whose text is known, and one that is long: the English ones, each before a second of silence."""
    known = [recording for recording in speech if recording["text"] and recording["file"] != _LEFT_OUT]
    if os.environ.get("ACCURACY_RECORDINGS") != "all":
        known = [recording for recording in known if recording["file"] in _SELECTED]
    english = [recording for recording in known if recording["language"] == "en"]
    path = tmp_path_factory.mktemp("speech") / "joined.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for recording in english:
            with decoding.decode(recording["path"], 1000) as sound:
                samples = sound.samples(0, sound.seconds)
            file.writeframes((samples * 32767).astype(np.int16).tobytes() + bytes(2 * SAMPLE_RATE))
    text = " ".join(recording["text"] for recording in english)
    return [*known, {"file": "joined.wav", "path": path, "language": "en", "text": text}]


def heard(recordings: list[dict[str, Any]], **settings: Any) -> dict[str, Heard]:
    """How each recording is understood, with one thread."""
    judge = short_windows.plausible
    implausible: list[tuple[Any, ...]] = []

    def plausible(*arguments: Any) -> bool:
        is_plausible = judge(*arguments)
        if not is_plausible:
            implausible.append(arguments)
        return is_plausible

    engine = FasterWhisperEngine(Settings(model=BASE, cpu_threads=1, **settings))
    found = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(short_windows, "plausible", plausible)
        for recording in recordings:
            implausible.clear()
            options = Options(model=BASE, language=recording["language"])
            text = inference.transcribe(engine, recording["path"], options, 1000, lambda *_: None).text
            told = (recording["text"], text, recording["language"], recording["file"])
            wrong, letters = errors(*told, letters=True)
            found[recording["file"]] = Heard(text, *errors(*told), wrong / letters, len(implausible))
    return found


def named(recordings: list[dict[str, Any]], files: tuple[str, ...]) -> list[dict[str, Any]]:
    return [recording for recording in recordings if recording["file"] in files]


@pytest.fixture(scope="module")
def whole(recordings: list[dict[str, Any]]) -> dict[str, Heard]:
    return heard(recordings, encoder="ctranslate2", short_windows=False, batch_size=1)


@pytest.fixture(scope="module")
def short(recordings: list[dict[str, Any]]) -> dict[str, Heard]:
    """With the encoder that every machine has."""
    return heard(recordings, encoder="ctranslate2")


def misheard(whole: dict[str, Heard], short: dict[str, Heard]) -> list[str]:
    """The recordings that are understood worse than one may be."""
    worse = []
    for file, found in short.items():
        before = whole[file]
        more = found.wrong - before.wrong
        if found.words < FEW_WORDS:
            more = min(more, found.wrong_by_letters - before.wrong_by_letters)
        if more > max(MOST_WORDS_OF_ONE, found.words * MOST_POINTS_OF_ONE / 100):
            worse.append(
                f"{file}: {before.wrong:.1f} -> {found.wrong:.1f} of {found.words} words wrong, {more:.1f} more: "
                f"{found.text} (whole: {before.text})"
            )
    return worse


def percent_wrong(heard: dict[str, Heard]) -> float:
    """By letters in those that have few words."""
    wrong = sum(one.wrong_by_letters if one.words < FEW_WORDS else one.wrong for one in heard.values())
    return 100 * wrong / sum(one.words for one in heard.values())


def runs_away(heard: dict[str, Heard]) -> list[str]:
    return [file for file, one in heard.items() if one.wrong > RUN_AWAY * one.words + 2]


def assert_no_worse(whole: dict[str, Heard], short: dict[str, Heard]) -> None:
    assert not misheard(whole, short)
    assert percent_wrong(short) <= percent_wrong(whole) + MOST_POINTS
    assert not runs_away(short)


def test_no_more_is_misheard_than_with_whole_windows(whole: dict[str, Heard], short: dict[str, Heard]) -> None:
    assert_no_worse(whole, short)


def test_no_more_is_misheard_with_the_fastest_encoder(
    recordings: list[dict[str, Any]], whole: dict[str, Heard]
) -> None:
    """Where the processor has no bfloat16 it is the one that every machine has."""
    assert_no_worse(whole, heard(recordings, encoder="auto"))


def test_taking_out_the_guard_of_probability_is_noticed(
    recordings: list[dict[str, Any]], whole: dict[str, Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_windows, "_LOWEST_LOG_PROBABILITY", -100.0)
    assert misheard(whole, heard(named(recordings, _GUESSED), encoder="ctranslate2"))


def test_taking_out_the_silence_behind_the_speech_is_noticed(
    recordings: list[dict[str, Any]], short: dict[str, Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is decoded again in whole windows, and the guard of repetition is all that holds back what runs away."""
    repeated = named(recordings, _REPEATED)
    monkeypatch.setattr(short_windows, "_PADDING_SECONDS", 0)
    monkeypatch.setattr(short_windows, "_SHORTEST_SECONDS", 0)
    guarded = heard(repeated, encoder="ctranslate2")
    assert not runs_away(guarded)
    assert sum(one.again for one in guarded.values()) > sum(short[file].again for file in guarded)
    monkeypatch.setattr(short_windows, "_HIGHEST_COMPRESSION_RATIO", 100.0)
    assert runs_away(heard(repeated, encoder="ctranslate2"))
