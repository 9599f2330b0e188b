"""Bodies and connections through the proxy, over real sockets."""

import asyncio
import gzip
import hashlib
import io
import time

import aiohttp
import pytest
from aiohttp import web

from tests.unit.autostart.site import HOST, echo, post, running_site


async def test_bodies_of_any_size_and_coding_arrive_whole() -> None:
    async with running_site(echo, awake=False) as site:
        data = b"0123456789abcdef" * (20 * 65536)

        async def chunks() -> object:
            for start in range(0, len(data), 1_000_003):
                yield data[start : start + 1_000_003]

        for body in (io.BytesIO(data), chunks()):
            async with site.client.post(site.url(), data=body) as response:
                answer = await response.json()
                assert (answer["bytes"], answer["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


async def test_a_held_body_stays_in_the_socket() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 1.0
        data = b"x" * 30_000_000
        upload = asyncio.create_task(post(site.client, site.url(), data))
        await asyncio.sleep(0.7)
        (connection,) = site.connections.connections
        request = connection._current_request
        assert request is not None
        assert 0 < request.content.total_bytes <= 256 * 1024
        assert (await upload)["sha256"] == hashlib.sha256(data).hexdigest()


async def test_continue_is_said_when_the_container_is_ready() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 0.5
        reader, writer = await site.connect()
        began = time.monotonic()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert time.monotonic() - began >= 0.4
        writer.write(b"body")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_answers_are_streamed_as_they_come() -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"data: x\n\n")
            await asyncio.sleep(0.2)
        return response

    async with running_site(drip) as site, site.client.get(site.url()) as response:
        began = time.monotonic()
        times = []
        while await response.content.readany():
            times.append(time.monotonic() - began)
            assert site.service.in_flight == 1
    assert len(times) == 3
    assert times[0] < 0.1
    assert times[2] > 0.35


async def test_requests_are_streamed_as_they_come() -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(request: web.BaseRequest) -> web.Response:
        async for chunk in request.content.iter_any():
            got.put_nowait(chunk)
        return web.Response()

    async with running_site(listen) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n".encode())
        assert await asyncio.wait_for(got.get(), 1) == b"one"
        writer.write(b"3\r\ntwo\r\n0\r\nX-Trailer: dropped\r\n\r\n")
        assert await asyncio.wait_for(got.get(), 1) == b"two"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_a_head_does_not_wait_for_its_body() -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=403, text="not here")

    async with running_site(refuse) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5000\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 403 ")
        writer.close()


async def test_compressed_answers_are_let_be() -> None:
    packed = gzip.compress(b"text")

    async def compressed(_: web.BaseRequest) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"})

    async with running_site(compressed) as site, site.client.get(site.url()) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == packed


@pytest.mark.parametrize(
    ("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET"), (204, "DELETE"), (404, "HEAD")]
)
async def test_answers_without_a_body_keep_their_head_and_the_connection(status: int, method: str) -> None:
    async def bare(_: web.BaseRequest) -> web.Response:
        headers = {"ETag": '"1"'} | ({"Content-Length": "1234"} if method == "HEAD" else {})
        return web.Response(status=status, headers=headers)

    async with running_site(bare) as site:
        request = f"{method} / HTTP/1.1\r\nHost: {HOST}\r\n".encode()
        answer = await site.raw(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
        heads = [head for head in answer.split(b"\r\n\r\n") if head]
        assert len(heads) == 2
        for head in heads:
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            assert b'etag: "1"' in head.lower()
            assert (b"Content-Length: 1234" in head) == (method == "HEAD")


async def test_http_1_0_gets_a_length_or_the_end_of_the_connection() -> None:
    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"one")
        await asyncio.sleep(0.05)
        await response.write(b"two")
        return response

    async with running_site(stream) as site:
        head, _, body = (await site.raw(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b"chunked" not in head.lower()
    assert body == b"onetwo"


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with running_site(echo, awake=False) as site:
        requests = [f"GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() for number in range(5)]
        requests.append(f"GET /last HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = await site.raw(b"".join(requests))
    positions = [answer.index(f'"path": "/{name}"'.encode()) for name in (*range(5), "last")]
    assert positions == sorted(positions)
    assert answer.count(b"HTTP/1.1 200 OK") == 6


async def test_informational_answers_do_not_end_the_request() -> None:
    async def hinting(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        return web.Response(text="done")

    async with running_site(hinting) as site, site.client.get(site.url()) as response:
        assert (response.status, await response.text()) == (200, "done")


async def test_an_early_answer_reaches_a_client_that_still_uploads() -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        await request.content.readany()
        response = web.Response(status=413, text="too large")
        response.force_close()
        return response

    async with running_site(refuse) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 50000000\r\n\r\n".encode() + b"x" * 100_000)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        assert head.startswith(b"HTTP/1.1 413 ")
        assert await asyncio.wait_for(reader.readexactly(9), 2) == b"too large"
        writer.close()


async def test_a_connection_to_the_container_serves_one_request_after_another() -> None:
    ports = set()

    async def note(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text=str(len(await request.read())))

    async with running_site(note) as site:
        for size in (0, 10, 1_000_000, 0, 100):
            async with site.client.post(site.url(), data=io.BytesIO(b"x" * size)) as response:
                assert await response.text() == str(size)
        async with site.client.head(site.url()) as response:
            assert response.status == 200
        async with site.client.get(site.url()) as response:
            assert await response.text() == "0"
    assert len(ports) == 1


async def test_a_connection_with_half_an_upload_in_it_is_not_used_again() -> None:
    ports = []

    async def answer_at_once(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        response = web.Response(text="no")
        await response.prepare(request)
        await response.write_eof()
        await request.read()
        return response

    async with running_site(answer_at_once) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 50000000\r\n\r\n".encode() + b"x" * 100_000)
        assert (await asyncio.wait_for(reader.readuntil(b"no"), 2)).startswith(b"HTTP/1.1 200 ")
        async with site.client.get(site.url()) as response:
            assert await response.text() == "no"
        writer.close()
    assert len(set(ports)) == 2


async def test_a_connection_that_the_container_closed_is_not_used_again() -> None:
    async def close(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        asyncio.get_running_loop().call_later(0.05, request.transport.close)
        return web.Response(text="once")

    async with running_site(close) as site:
        for _ in range(3):
            async with site.client.post(site.url(), data=b"x") as response:
                assert await response.text() == "once"
            await asyncio.sleep(0.1)


async def test_an_answer_that_breaks_off_is_broken_off_for_the_client() -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with running_site(break_off) as site, site.client.get(site.url()) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
