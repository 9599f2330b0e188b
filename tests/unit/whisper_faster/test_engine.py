import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whisper_api.engine import ModelUnavailable, Options, UnsupportedOption
from whisper_api.settings import Settings
from whisper_faster.engine import FasterWhisperEngine

BASE = "Systran/faster-whisper-base"
TINY = "Systran/faster-whisper-tiny.en"

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def engine(hub: Path) -> FasterWhisperEngine:
    assert hub.is_dir()
    return FasterWhisperEngine(Settings(model=BASE))


def recording(speech: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in speech if entry["file"].endswith(name))


def test_speech(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    beckett = recording(speech, "beckett.wav")
    transcription = engine.transcribe(beckett["path"], Options(model=BASE, word_timestamps=True))
    segments = list(transcription.segments)
    assert (transcription.model, transcription.language) == (BASE, "en")
    assert transcription.duration == pytest.approx(9.96, abs=0.01)
    said = "".join(segment.text for segment in segments).lower()
    assert "ever tried" in said
    assert "fail better" in said
    assert [segment.id for segment in segments] == list(range(len(segments)))
    words = [word for segment in segments for word in segment.words]
    assert "".join(word.word for word in words) == "".join(segment.text for segment in segments)
    assert all(0 <= word.start <= word.end <= transcription.duration + 0.1 for word in words)


def test_the_language_is_detected(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    transcription = engine.transcribe(recording(speech, "bonjour_monde.wav")["path"], Options(model=BASE))
    assert transcription.language == "fr"
    assert "bonjour" in "".join(segment.text for segment in transcription.segments).lower()


@pytest.mark.parametrize("seconds", [0, 0.01, 5])
def test_silence_is_no_text(engine: FasterWhisperEngine, tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros(int(seconds * 16_000), dtype=np.int16).tobytes())
    transcription = engine.transcribe(path, Options(model=BASE))
    assert list(transcription.segments) == []
    assert transcription.duration == seconds


def test_a_model_that_knows_english_only(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    path = recording(speech, "bonjour_monde.wav")["path"]
    with pytest.raises(UnsupportedOption, match="English only") as refused:
        engine.transcribe(path, Options(model=TINY, language="fr"))
    assert refused.value.param == "language"


def test_languages(engine: FasterWhisperEngine) -> None:
    assert len(engine.languages) == 100
    assert {"en", "fr", "yue"} <= set(engine.languages)


def test_a_model_whose_files_are_not_here(engine: FasterWhisperEngine) -> None:
    with pytest.raises(ModelUnavailable, match="not on this machine"):
        engine.load("Systran/faster-whisper-small")


def test_an_unused_model_is_forgotten_after_its_time(hub: Path) -> None:
    assert hub.is_dir()
    engine = FasterWhisperEngine(Settings(model=TINY, ttl=1))
    engine.load(TINY)
    loaded = engine._loaded
    first = loaded.get(TINY)
    assert loaded.get(TINY) is first
    deadline = time.monotonic() + 5
    while loaded._models and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not loaded._models
    assert loaded.get(TINY) is not first
