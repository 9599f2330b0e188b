"""Twelve hours of speech: 10 MB that are written, stored and read again without keeping others waiting."""

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine, segment
from tests.unit.whisper_server.sound import FILE
from whisper_server.http import formats
from whisper_server.http.formats import Format
from whisper_server.process.settings import Settings
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript, Word
from whisper_server.work.job_records import JobRequest, Record
from whisper_server.work.job_storage import JobStorage

URL = "/v1/audio/transcriptions"
SEGMENTS = 500
TRANSCRIPT = Transcript(
    "transcribe",
    MODEL,
    "en",
    float(SEGMENTS),
    1.0,
    [
        segment(number, " Good\u2028morning.\n", [Word(number, number + 0.5, " Good", 0.9)])
        for number in range(SEGMENTS)
    ],
    shortened=["prompt"],
)


@pytest.fixture
def rendering(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Rendering begins by setting the first event, and waits for the second."""
    begun, go = threading.Event(), threading.Event()
    original = formats.render

    def render(*arguments: object) -> str:
        begun.set()
        assert go.wait(20)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(formats, "render", render)
    return begun, go


@pytest.mark.parametrize("kind", ["request", "job"])
def test_others_are_answered_while_an_answer_is_rendered(
    http: httpx.Client, rendering: tuple[threading.Event, threading.Event], kind: str
) -> None:
    begun, go = rendering
    with ThreadPoolExecutor(1) as pool:
        try:
            if kind == "request":
                answer = pool.submit(http.post, URL, files=FILE)
            else:
                place = http.post(URL, files=FILE, headers={"prefer": "respond-async"}).headers["location"]
                assert eventually(lambda: http.get("/jobs").json()["data"][0]["status"] == "completed")
                answer = pool.submit(http.get, place)
            assert begun.wait(10)
            assert http.get("/health", timeout=5).status_code == 200
        finally:
            go.set()
        assert answer.result().status_code == 200


@pytest.mark.parametrize("response_format", ["verbose_json", "diarized_json", "segments"])
@pytest.mark.parametrize("length", [0, 1, SEGMENTS])
def test_json_is_written_in_pieces_that_do_not_grow(response_format: Format, length: int) -> None:
    """One call of pydantic or `json` holds the interpreter's lock until it has written all that it was given."""
    transcript = Transcript("transcribe", MODEL, "en", 1.0, 1.0, TRANSCRIPT.segments[:length])
    pieces = list(formats.pieces(transcript, response_format, ["word", "segment"]))
    written = json.loads("".join(pieces))
    assert len(written["segments"]) == length
    assert max(map(len, pieces[1:])) < 500, "the first piece holds the whole text"


def test_a_stored_transcript_has_a_line_for_each_segment(tmp_path: Path) -> None:
    storage = JobStorage(Settings(data_folder=tmp_path))
    upload = tmp_path / "upload"
    upload.write_bytes(b"sound")
    storage.add(upload, Record("job", JobRequest(Options(model=MODEL), "json", [], "request-1"), created=0.0))
    attempt = storage.claim(0.0, 1.0)
    assert attempt is not None
    assert storage.complete(attempt, 1.0, TRANSCRIPT)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as database:
        ((stored,),) = database.execute("SELECT transcript FROM job")
    assert len(stored.split(b"\n")) == 1 + SEGMENTS
    assert storage.transcript("job") == TRANSCRIPT
    storage.close()


def test_a_job_s_result_is_what_it_was(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.segments = [segment(0, ' "Good"\u2028\\ morning. \u00e9\U0001f600')]
    for response_format in ("json", "text", "srt", "verbose_json", "vtt"):
        form = {"response_format": response_format}
        place = http.post(URL, files=FILE, data=form, headers={"prefer": "respond-async"}).headers["location"]
        assert eventually(lambda place=place: http.get(place).json()["status"] == "completed")  # type: ignore[misc]
        job = http.get(place)
        assert job.headers["content-type"] == "application/json"
        answer = http.post(URL, files=FILE, data=form)
        assert job.json()["result"] == (answer.json() if "json" in response_format else answer.text)
