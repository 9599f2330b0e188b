"""Requests that do not end, over real sockets: what a stop does with them, and what their clients are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import http_writer, web

from docker_autostart import leases, proxy, service
from tests.unit.autostart.site import HOST, Site, error_of, running_site

UPLOAD = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100000\r\n\r\n".encode()
PATIENCE, DEADLINE = 0.3, 1.0
TRICKLE = 0.05


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "UPLOAD_PATIENCE", PATIENCE)
    monkeypatch.setattr(leases, "DRAIN_TIMEOUT", DEADLINE)
    monkeypatch.setattr(service, "DRAIN_RECHECK", 0.1)


async def take(request: web.BaseRequest) -> web.StreamResponse:
    """The size of the body; events without end for /events, nothing for /silent, and 50 MB for /large."""
    if request.raw_path == "/large":
        return web.Response(body=bytes(50_000_000))
    if request.raw_path == "/events":
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"data: x\n\n")
            await asyncio.sleep(TRICKLE)
    if request.raw_path == "/silent":
        await asyncio.sleep(60)
    return web.Response(text=str(len(await request.read())))


@asynccontextmanager
async def trickled_upload(site: Site, head: bytes = UPLOAD) -> AsyncIterator[asyncio.StreamReader]:
    """A byte every `TRICKLE` seconds for as long as anybody takes it; yields what reads the answer."""
    reader, writer = await site.connect()

    async def send() -> None:
        writer.write(head)
        while True:
            writer.write(b"x")
            await asyncio.sleep(TRICKLE)

    sending = asyncio.create_task(send())
    await asyncio.sleep(2 * TRICKLE)
    try:
        yield reader
    finally:
        sending.cancel()
        writer.close()


async def refusal(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, object]]:
    """Head and error object of an answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    error = json.loads(await reader.readexactly(length))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return head, error


async def test_a_trickled_upload_does_not_keep_an_operator_from_stopping() -> None:
    async with running_site(take) as site, trickled_upload(site) as reader:
        site.stack.in_use = lambda: site.service.in_flight
        assert site.service.in_flight == 1
        stopping = asyncio.create_task(site.service.stop("operator", by_operator=True))
        await asyncio.sleep(TRICKLE)
        async with asyncio.timeout(2), site.client.post(site.url(), data=b"honest") as response:
            assert (response.status, await response.text()) == (200, "6")
            assert response.headers["X-Autostart"] == "cold"
        assert await stopping
        head, error = await refusal(reader)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in head
        assert error["code"] == "stopping"
        assert "upload" in str(error["message"])


async def test_a_client_that_sends_fast_reads_why_its_upload_was_cut() -> None:
    over = asyncio.Event()

    async def deaf(_: web.BaseRequest) -> web.Response:
        await over.wait()
        return web.Response()

    async with running_site(deaf) as site:
        reader, writer = await site.connect()
        writer.write(UPLOAD.replace(b"100000", b"50000000") + bytes(20_000_000))
        await asyncio.sleep(2 * TRICKLE)
        assert await asyncio.wait_for(site.service.stop("operator", by_operator=True), 2)
        head, error = await refusal(reader)
        assert (head[9:12], error["code"]) == (b"503", "stopping")
        writer.close()
        over.set()


async def test_an_upload_that_goes_on_has_until_the_deadline() -> None:
    async with running_site(take) as site:
        reader, writer = await site.connect()
        writer.write(UPLOAD.replace(b"100000", b"700000"))
        await asyncio.sleep(TRICKLE)
        stopping = asyncio.create_task(site.service.stop("operator", by_operator=True))
        for _ in range(14):
            writer.write(b"x" * 50_000)
            await asyncio.sleep(TRICKLE)
        assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 200 ")
        assert await stopping
        writer.close()


async def test_a_request_whose_upload_is_complete_has_until_the_deadline() -> None:
    async def work(request: web.BaseRequest) -> web.Response:
        await request.read()
        await asyncio.sleep(0.7 * DEADLINE)
        return web.Response(text="transcript")

    async with running_site(work) as site:
        asking = asyncio.create_task(site.client.post(site.url(), data=b"x" * 300_000))
        await asyncio.sleep(2 * TRICKLE)
        stopping = asyncio.create_task(site.service.stop("operator", by_operator=True))
        async with await asking as response:
            assert (response.status, await response.text()) == (200, "transcript")
        assert await stopping


async def test_a_request_that_is_not_answered_until_the_deadline_is_told_so() -> None:
    async with running_site(take) as site:
        asking = asyncio.create_task(site.client.get(site.url("/silent")))
        await asyncio.sleep(2 * TRICKLE)
        assert await asyncio.wait_for(site.service.stop("operator", by_operator=True), 3)
        async with await asking as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            assert (await error_of(response))["code"] == "stopping"


async def test_an_answer_that_has_begun_is_broken_off_at_the_deadline() -> None:
    """Nothing is put behind what the client has: neither an error, nor an end that looks like the answer's own."""
    async with running_site(take) as site:
        reader, writer = await site.connect()
        writer.write(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(site.service.stop("operator", by_operator=True), 3)
        answer = b""
        try:
            async with asyncio.timeout(1):
                while data := await reader.read(65536):
                    answer += data
        except ConnectionError:
            pass
        assert b"data: x" in answer
        assert b"HTTP/1.1" not in answer
        assert not answer.endswith(b"0\r\n\r\n")
        writer.close()


@asynccontextmanager
async def slow_reader(site: Site) -> AsyncIterator[asyncio.StreamReader]:
    """A client that takes a byte of an answer of 50 MB, and another every `TRICKLE` seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1)
    writer.write(f"GET /large HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

    async def read() -> None:
        while True:
            await reader.read(1)
            await asyncio.sleep(TRICKLE)

    reading = asyncio.create_task(read())
    await asyncio.sleep(4 * TRICKLE)
    try:
        yield reader
    finally:
        reading.cancel()
        writer.close()


async def test_a_client_that_does_not_take_its_answer_does_not_keep_an_operator_from_stopping() -> None:
    async with running_site(take) as site, slow_reader(site):
        assert site.service.in_flight == 1
        assert await asyncio.wait_for(site.service.stop("operator", by_operator=True), 3)


async def test_a_client_that_does_not_take_its_answer_does_not_keep_a_service_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy, "IDLE_TIMEOUT", 0.5)
    async with running_site(take, idleTimeout=0.3) as site, slow_reader(site):
        assert site.service.in_flight == 1
        await asyncio.sleep(0.5 + 0.3 + 0.7)
        assert site.stack.stops == 1


async def test_a_client_that_does_not_take_the_end_of_its_answer_does_not_keep_a_service_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiohttp lets up to 64 KiB be written without waiting for the client, and waits at the answer's end instead."""

    async def wait_for_client(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(proxy, "IDLE_TIMEOUT", 0.5)
    async with running_site(take, idleTimeout=0.3) as site:
        reader, writer = await site.connect()
        writer.write(f"GET /large HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        monkeypatch.setattr(http_writer.StreamWriter, "write_eof", wait_for_client)
        await reader.readexactly(50_000_000)
        assert site.service.in_flight == 1
        await asyncio.sleep(0.5 + 0.3 + 0.7)
        monkeypatch.undo()
        assert site.stack.stops == 1
        writer.close()


async def test_who_waits_longer_than_its_patience_for_a_stop_gets_503() -> None:
    async with running_site(take, startTimeout=1) as site:
        site.stack.stop_takes = 1.5
        stopping = asyncio.create_task(site.service.stop("operator", by_operator=True))
        await asyncio.sleep(TRICKLE)
        async with site.client.get(site.url()) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            assert (await error_of(response))["code"] == "stopping"
        assert await stopping


async def test_a_monitor_s_trickle_does_not_keep_a_service_awake() -> None:
    head = UPLOAD.replace(b"/v1/audio/transcriptions", b"/health")
    async with running_site(take, idleTimeout=0.3, noWakePaths=["/health"]) as site, trickled_upload(site, head):
        await asyncio.sleep(0.3 + PATIENCE + 0.7)
        assert site.stack.stops == 1


async def test_an_upload_that_brings_too_little_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any stop: such a one would keep the service awake, and another's memory, for ever."""
    monkeypatch.setattr(proxy, "UPLOAD_STALL", 0.5)
    async with running_site(take, idleTimeout=0.3) as site, trickled_upload(site) as reader:
        head, error = await refusal(reader)
        assert head.startswith(b"HTTP/1.1 408 ")
        assert error["code"] == "request_timeout"
        await asyncio.sleep(0.6)
        assert site.stack.stops == 1


async def test_an_upload_that_brings_enough_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "UPLOAD_STALL", 0.5)
    async with running_site(take) as site:
        reader, writer = await site.connect()
        writer.write(UPLOAD.replace(b"100000", b"800000"))
        for _ in range(40):
            writer.write(b"x" * 20_000)  # 64 KiB take 0.2 s
            await asyncio.sleep(0.05)
        assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 200 ")
        writer.close()
