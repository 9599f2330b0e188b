import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from whisper_server.work.inference_queue import InferenceQueue, QueueFull

URL = "/v1/audio/transcriptions"


async def _started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0.05)
    return task


async def test_one_runs_at_a_time_in_the_order_of_arrival() -> None:
    queue = InferenceQueue(waiting=3)
    running = threading.Semaphore(1)
    order: list[int] = []

    def work(number: int) -> int:
        assert running.acquire(blocking=False), "two at once"
        order.append(number)
        running.release()
        return number

    results = await asyncio.gather(*(queue.run(lambda _, n=n: work(n)) for n in range(4)))  # type: ignore[misc]
    assert results == order == [0, 1, 2, 3]
    queue.close()


async def test_work_that_waits_never_starts_when_its_caller_leaves() -> None:
    queue = InferenceQueue(waiting=1)
    go = threading.Event()
    started: list[str] = []

    def work(name: str) -> None:
        started.append(name)
        go.wait(5)

    first = await _started(queue.run(lambda _: work("first")))
    second = await _started(queue.run(lambda _: work("second")))
    with pytest.raises(QueueFull, match="running or waiting"):
        await queue.run(lambda _: work("third"))
    second.cancel()
    await asyncio.sleep(0.05)
    third = await _started(queue.run(lambda _: work("third")))  # the second's place is free
    go.set()
    await asyncio.gather(first, third)
    assert started == ["first", "third"]
    queue.close()


async def test_work_that_runs_is_told_and_keeps_its_place_until_it_returns() -> None:
    queue = InferenceQueue(waiting=0)
    returned = threading.Event()

    def work(cancelled: threading.Event) -> None:
        assert cancelled.wait(5)
        returned.wait(5)

    task = await _started(queue.run(work))
    task.cancel()
    await asyncio.sleep(0.05)
    with pytest.raises(QueueFull):
        queue.refuse_if_full()
    returned.set()
    await asyncio.sleep(0.05)
    assert await queue.run(lambda _: "free") == "free"
    queue.close()


def test_nine_are_taken_and_the_tenth_is_told_to_come_back(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.go.clear()

    def post() -> httpx.Response:
        return http.post(URL, files=FILE)

    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(post) for _ in range(10)]
        assert eventually(lambda: any(answer.done() for answer in answers))
        assert http.get("/health").status_code == 200, "the event loop is free"
        engine.go.set()
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200] * 9 + [429]
    (refused,) = [answer.result() for answer in answers if answer.result().status_code == 429]
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "queue_full"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert len(engine.asked) == 9


def _leaving(http: httpx.Client) -> socket.socket:
    """A connection whose request is sent whole, to be closed by the test before the answer comes."""
    request = http.build_request("POST", URL, files=FILE)
    body = request.read()
    head = f"POST {URL} HTTP/1.1\r\nhost: test\r\ncontent-type: {request.headers['content-type']}\r\n"
    connection = socket.create_connection((http.base_url.host, http.base_url.port or 80))
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def test_a_client_that_leaves_stops_the_engine_at_the_next_segment(
    http: httpx.Client, engine: ScriptedEngine, spooled: Callable[[], list[str]]
) -> None:
    engine.go.clear()
    connection = _leaving(http)
    assert eventually(lambda: len(engine.asked) == 1)
    assert len(spooled()) == 2, "the upload, and the recording decoded from it"
    connection.close()
    assert eventually(lambda: len(spooled()) == 1), "the upload goes with its request"
    engine.go.set()
    assert eventually(lambda: not spooled()), "the recording goes with the work"
    assert http.post(URL, files=FILE).status_code == 200
    assert engine.given == 1 + len(engine.segments)


def test_a_client_that_leaves_ends_work_without_segments(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.lingers_in = "speakers"
    connection = _leaving(http)
    assert eventually(lambda: len(engine.asked) == 1)
    connection.close()
    assert eventually(lambda: http.get("/busy").json()["requests"] == 0)
    assert engine.given == 0


def test_a_client_that_leaves_while_waiting_is_never_worked_for(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.go.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(http.post, URL, files=FILE)
        assert eventually(lambda: len(engine.asked) == 1)
        connection = _leaving(http)
        assert eventually(lambda: http.get("/busy").json()["requests"] == 2)
        connection.close()
        assert eventually(lambda: http.get("/busy").json()["requests"] == 1)
        engine.go.set()
        assert first.result().status_code == 200
    assert http.post(URL, files=FILE).status_code == 200
    assert len(engine.asked) == 2
