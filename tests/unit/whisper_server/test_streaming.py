import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO, FILE, silence
from whisper_server.http import streaming
from whisper_server.process.log_entry import Entry
from whisper_server.speech.engine import Reached
from whisper_server.speech.errors import ModelUnavailable, NotAudio
from whisper_server.speech.transcript import Segment, Transcript
from whisper_server.work.inference_queue import InferenceQueue

URL = "/v1/audio/transcriptions"


def test_events_as_openai_s_client_reads_them(http: httpx.Client) -> None:
    client = openai.OpenAI(base_url=str(http.base_url.join("/v1")), api_key="unused", max_retries=0)
    events = list(client.audio.transcriptions.create(model="whisper-1", file=("a.wav", AUDIO), stream=True))
    assert [event.type for event in events] == [
        "transcript.text.delta",
        "transcript.text.delta",
        "transcript.text.done",
    ]
    assert [event.model_dump()["delta"] for event in events[:2]] == [" Good morning.", " Fine day."]
    assert events[2].model_dump()["text"] == "Good morning. Fine day."


def test_the_text_comes_as_it_is_decoded(http: httpx.Client, engine: ScriptedEngine) -> None:
    """A segment is there before the engine may go on to the next."""
    engine.go.clear()
    once = threading.Event()

    def one() -> None:
        engine.go.set()
        once.wait(5)

    original = engine._speak

    def speak():  # type: ignore[no-untyped-def]
        segments = original()
        yield next(segments)
        assert once.wait(5)
        yield from segments

    engine._speak = speak  # type: ignore[method-assign]
    threading.Thread(target=one).start()
    with http.stream("POST", URL, files=FILE, data={"stream": "true"}) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        lines = answer.iter_lines()
        assert json.loads(next(lines).removeprefix("data: "))["delta"] == " Good morning."
        once.set()
        rest = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert [event["type"] for event in rest] == ["transcript.text.delta", "transcript.text.done"]


def test_nothing_said(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.segments = []
    answer = http.post(URL, files=FILE, data={"stream": "true"})
    assert answer.text == 'data: {"type":"transcript.text.done","text":""}\n\n'


def test_comments_keep_proxies_patient(
    http: httpx.Client, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_KEEP_ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(streaming, "_FIRST_SECONDS", 0.1)
    engine.go.clear()
    with http.stream("POST", URL, files=FILE, data={"stream": "true"}) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        engine.go.set()
        events = [line for line in lines if line.startswith("data:")]
    assert len(events) == 3
    assert streaming.__dict__["_KEEP_ALIVE_SECONDS"] < 15


def test_an_error_before_the_first_word_is_an_error_answer(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.failure = NotAudio("a text")
    answer = http.post(URL, files=FILE, data={"stream": "true"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("failure", "code"), [(ModelUnavailable("later"), "model_unavailable"), (ZeroDivisionError(), "internal_error")]
)
def test_an_error_after_it_is_an_event_that_clients_raise(
    http: httpx.Client, engine: ScriptedEngine, failure: Exception, code: str
) -> None:
    def speak():  # type: ignore[no-untyped-def]
        yield engine.segments[0]
        assert engine.go.wait(5)
        raise failure

    engine.go.clear()
    engine._speak = speak  # type: ignore[method-assign]
    client = openai.OpenAI(base_url=str(http.base_url.join("/v1")), api_key="unused", max_retries=0)
    events = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", AUDIO), stream=True)
    assert next(iter(events)).type == "transcript.text.delta"
    engine.go.set()
    with pytest.raises(openai.APIError) as raised:
        list(events)
    assert raised.value.code == code


def test_a_client_that_leaves_frees_the_engine(http: httpx.Client, engine: ScriptedEngine) -> None:
    def speak():  # type: ignore[no-untyped-def]
        for number in range(1000):
            engine.given = number
            yield engine.segments[0]
            engine.go.wait(0.01)
            engine.go.clear()

    engine._speak = speak  # type: ignore[method-assign]
    with http.stream("POST", URL, files=FILE, data={"stream": "true"}) as answer:
        next(answer.iter_lines())
    assert eventually(lambda: http.get("/busy").json()["busy"] == 0)
    assert engine.given < 900


def test_formats_that_cannot_be_streamed(http: httpx.Client) -> None:
    answer = http.post(URL, files=FILE, data={"stream": "true", "response_format": "srt"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream")


def test_a_stream_that_waits_keeps_its_recording(
    http: httpx.Client, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, spooled: Callable[[], list[str]]
) -> None:
    """The number of its upload's descriptor must not go to the next client's upload while it waits in the queue."""
    monkeypatch.setattr(streaming, "_FIRST_SECONDS", 0.1)
    monkeypatch.setattr(streaming, "_KEEP_ALIVE_SECONDS", 0.1)
    engine.go.clear()
    with ThreadPoolExecutor(2) as pool, httpx.Client(base_url=http.base_url, timeout=20) as other:
        # It is connected already: a new connection would take the number.
        assert other.get("/health").status_code == 200
        running = pool.submit(http.post, URL, files=FILE)
        assert eventually(lambda: len(engine.asked) == 1)
        with http.stream("POST", URL, files={"file": ("a.wav", silence(1))}, data={"stream": "true"}) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith(":"), "it waits"
            next_one = pool.submit(other.post, URL, files={"file": ("b.wav", silence(7))})
            assert eventually(lambda: http.get("/busy").json()["requests"] == 3)
            engine.go.set()
            assert any("transcript.text.done" in line for line in lines)
        assert [running.result().status_code, next_one.result().status_code] == [200, 200]
    assert engine.heard == [2.0, 1.0, 7.0]
    assert eventually(lambda: not spooled())


def test_a_stream_that_nobody_reads_leaves_nothing(
    http: httpx.Client, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, spooled: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(streaming, "_FIRST_SECONDS", 0.1)
    monkeypatch.setattr(streaming, "_KEEP_ALIVE_SECONDS", 0.1)
    engine.go.clear()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(http.post, URL, files=FILE)
        assert eventually(lambda: len(engine.asked) == 1)
        with http.stream("POST", URL, files=FILE, data={"stream": "true"}) as answer:
            assert next(answer.iter_lines()).startswith(":")
        assert eventually(lambda: http.get("/busy").json()["requests"] == 1)
        engine.go.set()
        assert running.result().status_code == 200
    assert eventually(lambda: not spooled())
    assert len(engine.asked) == 1


@pytest.mark.parametrize("ending", ["disconnected", "unwritable", "cancelled"])
async def test_a_stream_that_ends_before_its_first_event_frees_the_engine(
    monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The client leaves, its connection breaks, or the server stops while the answer's head is sent."""
    monkeypatch.setattr(streaming, "_FIRST_SECONDS", 0.05)
    ended, left = threading.Event(), asyncio.Event()

    def work(reached: Reached, _: Callable[[Segment], None]) -> Transcript:
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                reached("text", 0.0)
                time.sleep(0.01)
            raise AssertionError("it went on without a client")
        finally:
            ended.set()

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        if ending == "unwritable":
            raise OSError("connection lost")
        await asyncio.Event().wait()

    version = "2.4" if ending == "unwritable" else "2.3"
    scope = {"type": "http", "asgi": {"spec_version": version}, "whisper_server.log_entry": Entry("request-1")}
    queue = InferenceQueue(0)
    response = await streaming.stream(Request(scope, receive), queue, work, lambda _: None)
    answering = asyncio.create_task(response(scope, receive, send))
    await asyncio.sleep(0.05)
    if ending == "cancelled":
        answering.cancel()
    left.set()
    (outcome,) = await asyncio.gather(answering, return_exceptions=True)
    assert isinstance(outcome, (ClientDisconnect, asyncio.CancelledError)) or outcome is None
    assert await asyncio.to_thread(ended.wait, 5)
    while queue.requests:
        await asyncio.sleep(0.01)
    queue.close()
