"""Real speech through the public endpoint, with OpenAI's own client."""

import json
import re
import statistics
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from openai.types.audio import TranscriptionVerbose

from testbed.word_error_rate import word_error_rate
from tests.api.conftest import Demo, Recording

MODEL = "Systran/faster-whisper-base"
TIME = r"\d\d:\d\d:\d\d"


def spoken(recordings: list[Recording], language: str) -> list[Recording]:
    """The short recordings of that language with a transcript, but those of counting: Whisper writes digits."""
    counting = {"counting.wav", "comptage.wav"}
    return [
        r for r in recordings if r.language == language and r.text and r.seconds < 15 and r.path.name not in counting
    ]


def one(recordings: list[Recording], language: str, *, seconds: float) -> Recording:
    """The recording of that language whose length is nearest."""
    return min(spoken(recordings, language), key=lambda r: abs(r.seconds - seconds))


@pytest.fixture
def english(recordings: list[Recording]) -> Recording:
    return one(recordings, "en", seconds=7)


@pytest.fixture
def french(recordings: list[Recording]) -> Recording:
    return one(recordings, "fr", seconds=4)


def test_openai_client_as_in_the_guide(client: OpenAI, french: Recording) -> None:
    with french.path.open("rb") as file:
        text = client.audio.transcriptions.create(model=MODEL, file=file, language="fr").text
    assert french.text is not None
    assert word_error_rate(french.text, text) <= 0.34


def test_curl_as_in_the_guide(demo: Demo, french: Recording) -> None:
    """With a Basic user, as everybody had before there were keys."""
    answer = subprocess.run(
        [
            *("curl", "--silent", "--fail-with-body", "--cacert", demo.ca_file),
            *("--user", f"{demo.user}:{demo.password}"),
            *("-F", f"file=@{french.path}", "-F", f"model={MODEL}", "-F", "language=fr"),
            f"{demo.url}/v1/audio/transcriptions",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"text"' in answer.stdout


@pytest.mark.parametrize("language", ["en", "fr"])
def test_words_are_right(client: OpenAI, recordings: list[Recording], language: str) -> None:
    rates = []
    for recording in spoken(recordings, language):
        text = client.audio.transcriptions.create(
            model="whisper-1", file=recording.path, language=language, response_format="text"
        )
        assert recording.text is not None
        rates.append(word_error_rate(recording.text, str(text)))
    assert rates
    assert statistics.mean(rates) < {"en": 0.05, "fr": 0.20}[language]


def test_the_language_is_detected(client: OpenAI, french: Recording) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=french.path, response_format="verbose_json")
    assert answer.language in {"fr", "french"}


def test_verbose_json_has_segments_and_words(client: OpenAI, english: Recording) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=english.path,
        language="en",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert isinstance(answer, TranscriptionVerbose)
    assert answer.duration == pytest.approx(english.seconds, abs=0.1)
    assert answer.segments
    assert answer.words
    assert " ".join(s.text.strip() for s in answer.segments) == answer.text.strip()
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= english.seconds + 0.5


@pytest.mark.parametrize(
    ("response_format", "content_type", "pattern"),
    [
        ("json", "application/json", r'^\{.*"text"'),
        ("text", "text/plain; charset=utf-8", r"^\w.*\n$"),
        ("verbose_json", "application/json", r'"segments"'),
        ("srt", "text/plain; charset=utf-8", rf"^1\n{TIME},\d{{3}} --> {TIME},\d{{3}}\n\S"),
        ("vtt", "text/vtt; charset=utf-8", rf"^WEBVTT\n\n{TIME}\.\d{{3}} --> {TIME}\.\d{{3}}\n\S"),
    ],
)
def test_formats(http: httpx.Client, english: Recording, response_format: str, content_type: str, pattern: str) -> None:
    answer = http.post(
        "/v1/audio/transcriptions",
        files={"file": (english.path.name, english.path.read_bytes())},
        data={"model": "whisper-1", "language": "en", "response_format": response_format},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == content_type
    assert re.search(pattern, answer.text, re.DOTALL)


def test_silence_gives_an_empty_text(client: OpenAI, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000 * 5))
    assert client.audio.transcriptions.create(model="whisper-1", file=silence).text == ""


# OpenAI's client calls its translations deprecated; its users are still there.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation_is_english(client: OpenAI, recordings: list[Recording]) -> None:
    bonjour = next(r for r in recordings if r.path.match("audioeval/fr/bonjour_monde.wav"))
    text = client.audio.translations.create(model="whisper-1", file=bonjour.path).text.lower()
    assert "bonjour" not in text
    assert "world" in text or "hello" in text


def test_extensions(http: httpx.Client, english: Recording) -> None:
    answer = http.post(
        "/v1/audio/transcriptions",
        files={"file": (english.path.name, english.path.read_bytes())},
        data={"language": "en", "vad_filter": "false", "batch_size": "4", "hotwords": "Dashwood"},
    )
    assert answer.status_code == 200, answer.text
    assert "Dashwood" in answer.json()["text"]


def test_a_model_leaves_memory_and_comes_back(http: httpx.Client) -> None:
    assert http.delete(f"/v1/models/{MODEL}").json()["deleted"] is False
    assert http.get(f"/v1/models/{MODEL}").json()["loaded"] is False
    assert http.delete(f"/v1/models/{MODEL}?files=true").status_code == 403
    assert http.post(f"/v1/models/{MODEL}").json()["loaded"] is True


def test_a_model_that_is_not_here_is_not_fetched_for_strangers(http: httpx.Client) -> None:
    assert http.post("/v1/models/large-v3").status_code == 404


def test_metrics_and_busy(http: httpx.Client, on_the_server: Callable[..., str]) -> None:
    assert "whisper_request_seconds_bucket" in http.get("/metrics").text
    busy = json.loads(on_the_server("curl", "--silent", "--fail", "http://127.0.0.1:8001/busy"))
    assert busy == {"busy": 0, "requests": 0, "jobs": 0}


def test_models_are_listed_and_found_by_their_ids(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert MODEL in ids
    assert client.models.retrieve(MODEL).id == MODEL


def test_the_server_says_how_it_is(http: httpx.Client) -> None:
    assert http.get("/health").status_code == 200
    assert http.get("/ready").status_code == 200
