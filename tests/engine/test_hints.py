"""However much a client gives the decoder to read, it has room to write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.word_error_rate import word_error_rate
from tests.api import sounds
from whisper_server.engines.whisper import hints
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.engines.whisper.short_windows import ShortWindowModel
from whisper_server.process.settings import Settings
from whisper_server.speech import decoding
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference

BASE = "Systran/faster-whisper-base"
TINY = "Systran/faster-whisper-tiny.en"

# 900 characters each, of the kind that is to be heard.
PROMPT = (
    "It was a year of great hopes and of great fears, and those who wrote about it could not agree on anything. "
    "The kings and the queens of both countries were sure that nothing would ever change, the poor were sure of it, "
    "and the papers of the day told of wonders, of robberies, of prophets and of the price of bread. "
) * 3
HOTWORDS = ", ".join(
    f"{first} {second}"
    for first in ("Charles", "Lucie", "Sydney", "Jerry", "Ernest", "Jarvis", "Gaspard", "Theresa")
    for second in ("Darnay", "Manette", "Carton", "Cruncher", "Defarge", "Lorry", "Stryver", "Evremonde", "Barsad")
)[:900].rpartition(",")[0]


@pytest.fixture(scope="module")
def without_openvino(hub: Path) -> FasterWhisperEngine:
    assert hub.is_dir()
    return FasterWhisperEngine(Settings(model=BASE, encoder="ctranslate2"))


@pytest.fixture(scope="module", params=[BASE, TINY])
def model(request: pytest.FixtureRequest, hub: Path) -> ShortWindowModel:
    (snapshot,) = (hub / f"models--{request.param.replace('/', '--')}" / "snapshots").iterdir()
    return ShortWindowModel(str(snapshot), device="cpu", compute_type="int8", cpu_threads=1)


@pytest.fixture(scope="module")
def path(speech: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A window of 30 s with more than a hundred words, and three seconds more."""
    whole = next(entry["path"] for entry in speech if entry["file"].endswith("two_cities.wav"))
    path = tmp_path_factory.mktemp("speech") / "two_cities.wav"
    with decoding.decode(whole, 100) as sound:
        path.write_bytes(sounds.wav(sound.samples(0, 33).astype(np.float64)))
    return path


def transcribe(engine: FasterWhisperEngine, path: Path, **options: Any) -> Transcript:
    return inference.transcribe(engine, path, Options(model=BASE, language="en", **options), 1000, lambda *_: None)


@pytest.fixture(scope="module")
def text(transcribed: Callable[..., Transcript], path: Path) -> str:
    return transcribed(path, language="en").text


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1},
        {"batch_size": 4, "word_timestamps": True},
        {"temperature": 0.2},
        {"batch_size": 1, "voice_activity": None},
    ],
    ids=str,
)
def test_no_word_is_missing_after_long_hints(
    engine: FasterWhisperEngine, path: Path, text: str, options: dict[str, Any]
) -> None:
    heard = transcribe(engine, path, prompt=PROMPT, hotwords=HOTWORDS, **options)
    assert word_error_rate(text, heard.text) < 0.12, heard.text
    assert heard.shortened == ["prompt", "hotwords"]


def test_no_word_is_missing_without_openvino(without_openvino: FasterWhisperEngine, path: Path, text: str) -> None:
    heard = transcribe(without_openvino, path, prompt=PROMPT, hotwords=HOTWORDS)
    assert word_error_rate(text, heard.text) < 0.12, heard.text


@pytest.mark.parametrize("given", [{"prompt": PROMPT * 4}, {"hotwords": "Zoë " * 2000}])
def test_one_that_is_too_long(engine: FasterWhisperEngine, path: Path, text: str, given: dict[str, str]) -> None:
    heard = transcribe(engine, path, batch_size=1, **given)
    assert word_error_rate(text, heard.text) < 0.12, heard.text
    assert heard.shortened == list(given)


def test_hints_that_fit_are_used_whole(engine: FasterWhisperEngine, path: Path) -> None:
    heard = transcribe(engine, path, prompt="A Tale of Two Cities, by Dickens.", hotwords="Darnay, Manette")
    assert heard.shortened == []


def read(model: ShortWindowModel, prompt: str | None, hotwords: str | None) -> tuple[str, int]:
    """What the decoder reads, and how many tokens it has for the text then."""
    tokenizer = hints.tokenizer_of(model)
    fitted = model.fitted_hints(prompt, hotwords)
    tokens = model.get_prompt(tokenizer, fitted.prompt, hotwords=fitted.hotwords)
    return tokenizer.decode(tokens), 448 - len(tokens)


@pytest.mark.parametrize(
    ("prompt", "hotwords"),
    [
        (PROMPT, HOTWORDS),
        (PROMPT * 3, None),
        (None, HOTWORDS),
        (None, "x" * 10_000),
        ("語" * 900, "名、" * 450),
        ("", " "),
    ],
)
def test_there_is_room_for_224_tokens(model: ShortWindowModel, prompt: str | None, hotwords: str | None) -> None:
    assert read(model, prompt, hotwords)[1] >= 224


def test_there_is_room_after_earlier_text_too(model: ShortWindowModel) -> None:
    tokenizer = hints.tokenizer_of(model)
    fitted = model.fitted_hints(None, HOTWORDS)
    for earlier in ([], [50365] * 223, [440] * 1000):
        tokens = model.get_prompt(tokenizer, earlier, hotwords=fitted.hotwords)
        assert len(tokens) <= 224
        assert tokenizer.decode(tokens).startswith(" Charles Darnay, Charles Manette,")


def test_the_prompt_keeps_its_end_and_hot_words_stay_whole(model: ShortWindowModel) -> None:
    text, _ = read(model, PROMPT, HOTWORDS)
    kept = model.fitted_hints(PROMPT, HOTWORDS).hotwords
    assert kept is not None
    assert set(kept.split(", ")) < set(HOTWORDS.split(", "))
    assert text.startswith(f" {kept}")
    assert len(kept.split(", ")) > 15
    end = text.removeprefix(f" {kept}")
    assert PROMPT.strip().endswith(end.strip())
    assert len(end) > 300


def test_a_term_that_does_not_fit_leaves_room_for_the_next(model: ShortWindowModel) -> None:
    fitted = model.fitted_hints(None, "x" * 2000 + "; Willoughby\nBarton Cottage")
    assert fitted.hotwords == "Willoughby, Barton Cottage"
    assert fitted.shortened == ["hotwords"]


def test_words_without_commas_are_terms(model: ShortWindowModel) -> None:
    fitted = model.fitted_hints(None, "Willoughby Ferrars " * 100)
    assert fitted.hotwords is not None
    assert set(fitted.hotwords.split(" ")) == {"Willoughby", "Ferrars"}


def test_names_of_control_tokens_do_not_control_the_decoder(model: ShortWindowModel) -> None:
    given = "<|startoftranscript|><|nospeech|> Dashwood <|endoftext|>"
    tokenizer = hints.tokenizer_of(model)
    fitted = model.fitted_hints(given, given)
    tokens = model.get_prompt(tokenizer, fitted.prompt, hotwords=fitted.hotwords)
    assert [token for token in tokens if token >= tokenizer.eot] == [tokenizer.sot_prev, *tokenizer.sot_sequence]
