"""Clients are told when not all of a prompt or of hot words was used."""

import json

import httpx
import pytest
from pydantic import TypeAdapter

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from whisper_server.http import streaming
from whisper_server.speech.transcript import Transcript

URL = "/v1/audio/transcriptions"
HEADER = "x-whisper-shortened"


@pytest.fixture
def shortening(engine: ScriptedEngine) -> ScriptedEngine:
    engine.shortened = ["prompt", "hotwords"]
    return engine


@pytest.mark.usefixtures("shortening")
@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text", "srt", "vtt"])
def test_an_answer(http: httpx.Client, response_format: str) -> None:
    answer = http.post(URL, files=FILE, data={"response_format": response_format})
    assert answer.headers[HEADER] == "prompt, hotwords"


def test_an_answer_for_which_everything_was_used(http: httpx.Client) -> None:
    assert HEADER not in http.post(URL, files=FILE).headers
    streamed = http.post(URL, files=FILE, data={"stream": "true"})
    assert HEADER not in streamed.headers
    assert "shortened" not in streamed.text


@pytest.mark.usefixtures("shortening")
def test_a_stream(http: httpx.Client) -> None:
    answer = http.post(URL, files=FILE, data={"stream": "true"})
    assert answer.headers[HEADER] == "prompt, hotwords"
    done = json.loads(answer.text.strip().rpartition("data: ")[2])
    assert (done["type"], done["shortened"]) == ("transcript.text.done", ["prompt", "hotwords"])


def test_a_stream_whose_headers_went_out_first(
    http: httpx.Client, shortening: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_FIRST_SECONDS", 0.1)
    shortening.lingers_in = "speakers"
    with http.stream("POST", URL, files=FILE, data={"stream": "true"}) as answer:
        assert HEADER not in answer.headers
        shortening.lingers_in = None
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]
    assert events[-1]["shortened"] == ["prompt", "hotwords"]


@pytest.mark.usefixtures("shortening")
def test_a_job(http: httpx.Client) -> None:
    address = http.post(URL, files=FILE, headers={"prefer": "respond-async"}).headers["location"]
    assert eventually(lambda: http.get(address).json()["status"] == "completed")
    answer = http.get(address)
    assert answer.headers[HEADER] == "prompt, hotwords"
    assert answer.json()["shortened"] == ["prompt", "hotwords"]


def test_a_job_for_which_everything_was_used(http: httpx.Client) -> None:
    address = http.post(URL, files=FILE, headers={"prefer": "respond-async"}).headers["location"]
    assert eventually(lambda: http.get(address).json()["status"] == "completed")
    answer = http.get(address)
    assert HEADER not in answer.headers
    assert "shortened" not in answer.json()


def test_a_transcript_that_was_stored_before_there_was_such_a_thing() -> None:
    stored = (
        '{"task":"transcribe","model":"scripted/base","language":"en","duration":2.0,"engine_seconds":0.5,'
        '"segments":[],"timing":"decoded"}'
    )
    assert TypeAdapter(Transcript).validate_json(stored).shortened == ()
