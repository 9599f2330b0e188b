from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.word_error_rate import word_error_rate
from whisper_server.engines.whisper import batches
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference

BASE = "Systran/faster-whisper-base"


@pytest.fixture
def path(speech: list[dict[str, Any]]) -> Path:
    found: Path = next(entry["path"] for entry in speech if entry["file"].endswith("two_cities.wav"))
    return found


def transcribe(engine: FasterWhisperEngine, path: Path, **options: Any) -> Transcript:
    return inference.transcribe(engine, path, Options(model=BASE, batch_size=4, **options), 1000, lambda *_: None)


def test_words_and_language(engine: FasterWhisperEngine, path: Path) -> None:
    transcript = transcribe(engine, path, word_timestamps=True)
    assert transcript.language == "en"
    assert "".join(word.word for word in transcript.words).strip() == transcript.text
    times = [time for word in transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 40 < times[-1] <= transcript.duration


def test_an_implausible_text_is_decoded_again(
    engine: FasterWhisperEngine,
    transcribed: Callable[..., Transcript],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once = transcribed(path, language="en", batch_size=4)
    monkeypatch.setattr(batches, "plausible", lambda *_: False)
    monkeypatch.setattr(batches, "_segments", lambda *_: pytest.fail("the first text was taken"))
    again = transcribe(engine, path, language="en")
    assert word_error_rate(once.text, again.text) < 0.1
    starts = [segment.start for segment in again.segments]
    assert starts == sorted(starts)
    assert starts[-1] > 30
    assert [segment.seek for segment in again.segments] == sorted(segment.seek for segment in again.segments)
