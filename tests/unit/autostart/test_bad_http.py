"""HTTP that is wrong or meant to confuse, byte by byte over real sockets: refused, and never seen by the container."""

import asyncio

import pytest
from aiohttp import web

from docker_autostart import connections
from tests.unit.autostart.site import HOST, running_site

HEAD = f"Host: {HOST}\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: " + HOST + "\r\n\r\n"

REFUSED = {
    "two content-lengths": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal content-lengths": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "list of content-lengths": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 4, 5\r\n\r\nabcde",
    "negative content-length": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n",
    "signed content-length": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: +4\r\n\r\nabcd",
    "content-length in hex": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 0x4\r\n\r\nabcd",
    "huge content-length": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 99999999999999999999999\r\n\r\n",
    "content-length with chunks": (
        f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
    ),
    "chunks with content-length": (
        f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n{SMUGGLED}"
    ),
    "unknown transfer coding": f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "chunked not last": f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "space before colon": f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "folded header": f"POST / HTTP/1.1\r\n{HEAD}X-A: 1\r\n 2\r\n\r\n",
    "bare line feeds": f"GET / HTTP/1.1\nHost: {HOST}\n\n",
    "bare carriage return": f"GET / HTTP/1.1\r\n{HEAD}X-A: 1\rX-B: 2\r\n\r\n",
    "NUL in a header": f"GET / HTTP/1.1\r\n{HEAD}X-A: 1\x002\r\n\r\n",
    "header without colon": f"GET / HTTP/1.1\r\n{HEAD}nonsense\r\n\r\n",
    "empty header name": f"GET / HTTP/1.1\r\n{HEAD}: x\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "empty host": "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "two hosts": f"GET / HTTP/1.1\r\n{HEAD}Host: other\r\n\r\n",
    "unknown version": f"GET / HTTP/3.9\r\n{HEAD}\r\n",
    "no version": f"GET /\r\n{HEAD}\r\n",
    "not a method": f"G(T / HTTP/1.1\r\n{HEAD}\r\n",
    "space in the target": f"GET /a b HTTP/1.1\r\n{HEAD}\r\n",
    "fragment in the target": f"GET /a#b HTTP/1.1\r\n{HEAD}\r\n",
    "target that is neither path nor URL": f"GET a HTTP/1.1\r\n{HEAD}\r\n",
    "connect": f"CONNECT {HOST}:443 HTTP/1.1\r\n{HEAD}\r\n",
    "unknown expectation": f"POST / HTTP/1.1\r\n{HEAD}Expect: 200-maybe\r\nContent-Length: 1\r\n\r\na",
    "long request line": f"GET /{'a' * 20_000} HTTP/1.1\r\n{HEAD}\r\n",
    "long header": f"GET / HTTP/1.1\r\n{HEAD}X-A: {'a' * 20_000}\r\n\r\n",
    "many headers": "GET / HTTP/1.1\r\n" + HEAD + "".join(f"X-{n}: 1\r\n" for n in range(1000)) + "\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

BAD_BODIES = {
    "chunk size that is no number": "zz\r\nabc\r\n0\r\n\r\n",
    "negative chunk size": "-3\r\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": "2\r\nabc\r\n0\r\n\r\n",
    "chunk size too large": "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "chunk without an end of line": "3\nabc\n0\n\n",
}


class Container:
    """Notes what reached it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.paths.append(request.raw_path)
        await request.read()
        return web.Response(text="fine")


@pytest.mark.parametrize("request_text", REFUSED.values(), ids=REFUSED.keys())
async def test_refuses(request_text: str) -> None:
    container = Container()
    async with running_site(container.handle, awake=False) as site:
        answer = await site.raw(request_text.encode("latin-1"))
        assert answer[8:13] == b" 400 ", answer
        assert b'"code": "bad_request"' in answer
        assert b"Traceback" not in answer
        assert container.paths == []
        assert site.stack.starts == 0, "it woke the service"


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_refuses_bad_chunks(body: str) -> None:
    container = Container()
    async with running_site(container.handle) as site:
        head = f"POST /upload HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n"
        answer = await site.raw((head + body + SMUGGLED).encode())
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), answer
        assert answer.count(b"HTTP/1.") == 1
        assert "/smuggled" not in container.paths
        await asyncio.sleep(0.05)
        assert site.service.in_flight == 0


async def test_bad_chunks_that_follow_good_ones_end_the_request_in_the_container_too() -> None:
    failed = asyncio.Event()

    async def read(request: web.BaseRequest) -> web.Response:
        try:
            await request.read()
        except BaseException:  # cancelled, or an incomplete body
            failed.set()
            raise
        return web.Response()

    async with running_site(read) as site:
        head = f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".encode()
        answer = await site.raw(head, b"zz\r\n", pause=0.1)
        assert answer.startswith(b"HTTP/1.1 400 ")
        await asyncio.wait_for(failed.wait(), 1)


async def test_a_body_that_ends_early_is_no_request() -> None:
    completed: list[int] = []

    async def read(request: web.BaseRequest) -> web.Response:
        completed.append(len(await request.read()))
        return web.Response()

    async with running_site(read) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 100\r\n\r\nabc".encode())
        await asyncio.sleep(0.1)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        await asyncio.sleep(0.1)
        assert completed == []
        assert site.service.in_flight == 0


async def test_a_client_that_closes_its_sending_half_has_left() -> None:
    async def slow(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with running_site(slow) as site:
        reader, writer = await site.connect()
        writer.write(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
        await asyncio.sleep(0.1)
        assert site.service.in_flight == 1
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()
        assert site.service.in_flight == 0


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_slow_heads_are_given_up(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_TIMEOUT", 0.3)
    async with running_site(Container().handle) as site:
        reader, writer = await site.connect()
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()


async def test_a_slow_head_after_a_good_request_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_TIMEOUT", 0.3)
    async with running_site(Container().handle) as site:
        reader, writer = await site.connect()
        writer.write(f"GET / HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 OK")
        await asyncio.sleep(0.5)  # an idle connection is kept
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()


async def test_a_slow_body_is_not_a_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_TIMEOUT", 0.3)
    async with running_site(Container().handle) as site:
        head = f"POST / HTTP/1.1\r\n{HEAD}Connection: close\r\nContent-Length: 4\r\n\r\nab".encode()
        answer = await site.raw(head, b"cd", pause=0.5)
        assert answer.startswith(b"HTTP/1.1 200 OK")
