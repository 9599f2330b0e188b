"""A prompt, hot words and earlier text are not what is said, unless it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.word_error_rate import errors, word_error_rate
from tests.api import sounds
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.speech import decoding
from whisper_server.speech.options import Options
from whisper_server.work import inference

BASE = "Systran/faster-whisper-base"

PROMPTS = (
    "The quarterly meeting of the board of directors, with Mr. Dashwood and Mrs. Ferrars.",
    "Glossary: Norland, Barton Cottage, Willoughby.",
    "Hello, welcome to my podcast.",
)


def text(engine: FasterWhisperEngine, path: Path, language: str = "en", **options: Any) -> str:
    given = Options(model=BASE, language=language, **options)
    return inference.transcribe(engine, path, given, 1000, lambda *_: None).text


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize(
    "name",
    [
        "0870.wav",
        "0880.wav",
        "en/hello_world.wav",
        "fr/bonjour_monde.wav",
        "ja/konnichiwa_sekai.wav",
        "pl/pangrama.wav",
    ],
)
def test_a_prompt_that_is_said_is_the_text(
    engine: FasterWhisperEngine, speech: list[dict[str, Any]], name: str, batch_size: int | None
) -> None:
    said = next(entry for entry in speech if entry["file"].endswith(name))
    heard = text(engine, said["path"], prompt=said["text"], language=said["language"], batch_size=batch_size)
    wrong, words = errors(said["text"], heard, said["language"])
    assert wrong <= 0.35 * words, heard


def test_laughter_after_speech_does_not_repeat_the_speech(
    engine: FasterWhisperEngine, speech: list[dict[str, Any]], tmp_path: Path
) -> None:
    """With earlier text as context, which is as good as a prompt."""
    said = next(entry for entry in speech if entry["file"].endswith("0870.wav"))
    with decoding.decode(said["path"], 100) as sound:
        samples = sound.samples(0, sound.seconds)
    path = tmp_path / "laughter.wav"
    silence = np.zeros(round((30 - len(samples) / sounds.RATE) * sounds.RATE))
    path.write_bytes(sounds.wav(np.concatenate([samples, silence, sounds.laughter(6)])))
    heard = text(engine, path, batch_size=1, voice_activity=None)
    assert word_error_rate(said["text"], heard) < 0.15, heard


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    ("sound", "batch_size"),
    [(lambda: sounds.laughter(4), None), (lambda: sounds.laughter(8, pitch=160), 4)],
    ids=["short", "long"],
)
def test_laughter_with_a_prompt_is_no_text(
    engine: FasterWhisperEngine,
    tmp_path: Path,
    sound: Callable[[], sounds.Samples],
    prompt: str,
    batch_size: int | None,
) -> None:
    path = tmp_path / "laughter.wav"
    path.write_bytes(sounds.wav(sound()))
    assert text(engine, path, prompt=prompt, batch_size=batch_size) == ""
    assert text(engine, path, hotwords=prompt, batch_size=batch_size) == ""


@pytest.mark.parametrize(("prompt", "batch_size"), [*((prompt, None) for prompt in PROMPTS), (PROMPTS[0], 4)])
@pytest.mark.parametrize("sound", [sounds.noise, sounds.applause, sounds.music])
def test_no_prompt_comes_out_of_noise_when_nobody_looks_for_speech(
    engine: FasterWhisperEngine,
    tmp_path: Path,
    sound: Callable[[float], sounds.Samples],
    prompt: str,
    batch_size: int | None,
) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(sounds.wav(sound(6)))
    assert text(engine, path, prompt=prompt, voice_activity=None, batch_size=batch_size) == ""
