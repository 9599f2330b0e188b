import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.word_error_rate import word_error_rate
from whisper_server.engines import interruptible
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.process.settings import Settings
from whisper_server.speech import decoding
from whisper_server.speech.engine import Stage
from whisper_server.speech.errors import ModelInUse, ModelUnavailable, UnsupportedOption
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Segment, Transcript, TranscriptionInfo
from whisper_server.work import inference

BASE = "Systran/faster-whisper-base"
TINY = "Systran/faster-whisper-tiny.en"


def transcribe(engine: FasterWhisperEngine, path: Path, options: Options) -> Transcript:
    return inference.transcribe(engine, path, options, 1000, lambda *_: None)


def recording(speech: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in speech if entry["file"].endswith(name))


def test_speech(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    beckett = recording(speech, "beckett.wav")
    transcript = transcribe(engine, beckett["path"], Options(model=BASE, word_timestamps=True))
    segments = transcript.segments
    assert (transcript.model, transcript.language) == (BASE, "en")
    assert transcript.duration == pytest.approx(9.96, abs=0.01)
    said = "".join(segment.text for segment in segments).lower()
    assert "ever tried" in said
    assert "fail better" in said
    assert [segment.id for segment in segments] == list(range(len(segments)))
    words = [word for segment in segments for word in segment.words]
    assert "".join(word.word for word in words) == "".join(segment.text for segment in segments)
    assert all(0 <= word.start <= word.end <= transcript.duration + 0.1 for word in words)


def test_the_language_is_detected(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    transcript = transcribe(engine, recording(speech, "bonjour_monde.wav")["path"], Options(model=BASE))
    assert transcript.language == "fr"
    assert "bonjour" in transcript.text.lower()


@pytest.mark.parametrize("seconds", [0, 0.01, 5])
def test_silence_is_no_text(engine: FasterWhisperEngine, tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros(int(seconds * 16_000), dtype=np.int16).tobytes())
    for batch_size in (1, 4):
        transcript = transcribe(engine, path, Options(model=BASE, batch_size=batch_size))
        assert list(transcript.segments) == []
        assert transcript.duration == seconds


def test_a_model_that_knows_english_only(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    path = recording(speech, "bonjour_monde.wav")["path"]
    with pytest.raises(UnsupportedOption, match="English only") as refused:
        transcribe(engine, path, Options(model=TINY, language="fr"))
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
    assert engine.loaded() == (TINY,)
    deadline = time.monotonic() + 5
    while engine.loaded() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not engine.loaded()


def test_what_is_drawn_at_random_is_the_same_after_every_start(speech: list[dict[str, Any]]) -> None:
    """Each engine is one just started: the generator is that of a loaded model's only worker."""
    path = recording(speech, "beckett.wav")["path"]
    options = Options(model=TINY, language="en", temperature=1.0)

    def first_two() -> list[str]:
        engine = FasterWhisperEngine(Settings(model=TINY, cpu_threads=1))
        return [transcribe(engine, path, options).text for _ in range(2)]

    first, second = first_two()
    assert first != second, "nothing was drawn at random: the test proves nothing"
    assert first_two() == [first, second]


def test_a_translation_is_english(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    path = recording(speech, "bonjour_monde.wav")["path"]
    transcript = transcribe(engine, path, Options(model=BASE, task="translate"))
    assert transcript.language == "en"
    assert "world" in transcript.text.lower() or "hello" in transcript.text.lower(), transcript.text


def test_a_model_that_cannot_translate_says_so(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    with pytest.raises(UnsupportedOption, match="cannot translate") as refused:
        transcribe(engine, recording(speech, "beckett.wav")["path"], Options(model=TINY, task="translate"))
    assert refused.value.param == "model"


def test_without_voice_activity_detection_all_of_it_is_decoded(
    engine: FasterWhisperEngine, speech: list[dict[str, Any]]
) -> None:
    said = recording(speech, "beckett.wav")
    for batch_size in (1, 4):
        options = Options(model=BASE, voice_activity=None, batch_size=batch_size, language="en")
        assert "fail better" in transcribe(engine, said["path"], options).text.lower()


def test_several_windows_at_once(transcribed: Callable[..., Transcript], speech: list[dict[str, Any]]) -> None:
    path = recording(speech, "two_cities.wav")["path"]
    one = transcribed(path, language="en", batch_size=1)
    several = transcribed(path, language="en", batch_size=4)
    assert word_error_rate(one.text, several.text) < 0.1
    starts = [segment.start for segment in several.segments]
    assert starts == sorted(starts)
    assert several.segments[-1].end == pytest.approx(one.segments[-1].end, abs=2)


def test_hotwords_reach_the_model(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    path = recording(speech, "0870.wav")["path"]
    plain = transcribe(engine, path, Options(model=BASE, language="en")).text
    hinted = transcribe(engine, path, Options(model=BASE, language="en", hotwords="Jon Dashwoode")).text
    assert "Dashwoode" in hinted
    assert "Dashwoode" not in plain


def test_a_recording_of_several_stretches(
    engine: FasterWhisperEngine, speech: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times go on from one stretch to the next, and no word is lost between them."""
    path = recording(speech, "two_cities.wav")["path"]
    whole = transcribe(engine, path, Options(model=BASE, language="en", word_timestamps=True))
    monkeypatch.setattr("whisper_server.speech.recording._STRETCH_SECONDS", 20)
    monkeypatch.setattr("whisper_server.speech.recording._PAUSE_SOUGHT_SECONDS", 10)
    parts = transcribe(engine, path, Options(model=BASE, language="en", word_timestamps=True))
    assert word_error_rate(whole.text, parts.text) < 0.08
    assert [segment.id for segment in parts.segments] == list(range(len(parts.segments)))
    times = [time for word in parts.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(whole.words[-1].end, abs=1)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_progress_follows_the_text(engine: FasterWhisperEngine, speech: list[dict[str, Any]], batch_size: int) -> None:
    told: list[tuple[Stage, float]] = []
    with decoding.decode(recording(speech, "two_cities.wav")["path"], 1000) as sound:
        options = Options(model=BASE, language="en", batch_size=batch_size)
        events = engine.transcribe(sound, options, lambda stage, share: told.append((stage, share)))
        assert isinstance(next(events), TranscriptionInfo)
        for segment in events:
            assert isinstance(segment, Segment)
            assert told[-1][1] >= segment.end / sound.seconds, "it is reported before the segment is given"
    shares = [share for stage, share in told if stage == "text"]
    assert shares == sorted(shares)
    assert len(shares) == len(told) >= 3
    assert shares[0] == 0
    assert 0.9 < max(shares) <= 1


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_request_in_the_middle_of_a_job_changes_nothing(
    engine: FasterWhisperEngine, speech: list[dict[str, Any]], batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job lets requests go first wherever it is: while a window is encoded, or decoded again in a whole one."""
    long, short = (recording(speech, name)["path"] for name in ("two_cities.wav", "0870.wav"))
    options = Options(model=BASE, language="en", batch_size=batch_size)
    alone = [inference.transcribe(engine, path, options, 1000, lambda *_: None).text for path in (long, short)]
    answers: list[str] = []

    def reached(*_: object) -> None:
        request = threading.Thread(
            target=lambda: answers.append(inference.transcribe(engine, short, options, 1000, lambda *_: None).text)
        )
        if len(answers) < 12:
            request.start()
            request.join()

    monkeypatch.setattr(interruptible, "_ASK_SECONDS", 0.02)
    with_requests = inference.transcribe(engine, long, options, 1000, reached).text
    assert len(answers) == 12
    assert [with_requests, *answers] == [alone[0], *[alone[1]] * 12]


def test_a_model_at_work_is_not_unloaded(engine: FasterWhisperEngine, speech: list[dict[str, Any]]) -> None:
    with decoding.decode(recording(speech, "two_cities.wav")["path"], 1000) as sound:
        events = engine.transcribe(sound, Options(model=BASE, language="en"), lambda *_: None)
        next(events)
        with pytest.raises(ModelInUse):
            engine.unload(BASE)
        events.close()
        assert engine.unload(BASE)
        assert not engine.unload(BASE)
