"""Clients that leave, and protocols other than HTTP, through the proxy."""

import asyncio
import socket
import struct
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web

from tests.unit.autostart.site import HOST, echo, running_site


class Patient:
    """A container that works until it is told that nobody waits any more."""

    def __init__(self, *, reads_body: bool) -> None:
        self.reads_body = reads_body
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.entered.set()
        try:
            if self.reads_body:
                await request.read()
            await asyncio.sleep(30)
        finally:
            self.left.set()
        return web.Response()


@pytest.mark.parametrize("body", [0, 1000])
async def test_a_client_that_leaves_frees_the_container_within_a_second(body: int) -> None:
    container = Patient(reads_body=True)
    async with running_site(container.handle) as site:
        _, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {body}\r\n\r\n".encode() + b"x" * body)
        await container.entered.wait()
        writer.close()
        await asyncio.wait_for(container.left.wait(), 1)
        assert site.service.in_flight == 0


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave as a process does that is killed with unread data: RST, not FIN behind what was not delivered yet."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_client_that_leaves_an_upload_that_nobody_reads_is_noticed_within_a_second() -> None:
    over = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with server, running_site(None, proxyPort=server.sockets[0].getsockname()[1]) as site:
        _, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 90000000\r\n\r\n".encode())
        for _ in range(500):
            writer.write(b"x" * 100_000)
        await asyncio.sleep(0.5)
        assert site.service.in_flight == 1
        reset(writer)
        await asyncio.sleep(1)
        assert site.service.in_flight == 0
        over.set()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("sent", "leave"), [(400_000, asyncio.StreamWriter.close), (20_000_000, reset)])
async def test_a_client_that_leaves_while_held_frees_its_place(
    sent: int, leave: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 5
        _, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 90000000\r\n\r\n".encode() + b"x" * sent)
        await asyncio.sleep(0.2)
        assert site.service.waiting == 1
        leave(writer)
        await asyncio.sleep(1)
        assert site.service.waiting == 0
        assert site.stack.starts == 1


async def test_websockets_pass_and_keep_the_service_awake() -> None:
    async def socket(request: web.BaseRequest) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data.upper())
        return response

    async with running_site(socket, awake=False) as site:
        async with site.client.ws_connect(site.url()) as connection:
            for word in ("one", "x" * 300_000):
                await connection.send_str(word)
                assert await connection.receive_str() == word.upper()
            assert site.service.in_flight == 1
        await asyncio.sleep(0.1)
        assert site.service.in_flight == 0


async def test_other_protocols_are_tunnelled_byte_by_byte() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Upgrade: echo/1" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nhello ")
        while data := await reader.read(65536):
            writer.write(data[::-1])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running_site(None, proxyPort=port) as site:
        reader, writer = await site.connect()
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Upgrade: echo/1" in head
        writer.write(b"GET / \x00\xff\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(18), 1) == b"hello \n\r\n\r\xff\x00 / TEG"[:18]
        writer.close()
        await asyncio.sleep(0.1)
        assert site.service.in_flight == 0


async def test_a_refused_upgrade_is_an_answer_like_others() -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=426, text="no")

    async with running_site(refuse) as site:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.client.ws_connect(site.url())
        assert refused.value.status == 426
