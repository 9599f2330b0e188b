"""After `101 Switching Protocols` (RFC 9110, section 15.2.2): copies bytes both ways until either side closes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from aiohttp.streams import StreamReader

BUFFER = 64 * 1024


class _Incoming:
    """Replaces aiohttp's WebSocket parser and passes the bytes through."""

    def __init__(self, connection: Any) -> None:
        self.stream = StreamReader(connection, BUFFER, loop=asyncio.get_running_loop())

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.stream.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self.stream.feed_eof()


async def run_tunnel(
    request: web.BaseRequest, response: web.StreamResponse, connection: Connection, idle_timeout: float
) -> None:
    """`response` is the 101 for the client, not sent yet. `idle_timeout`: seconds without data in either direction."""
    if connection.protocol is None:
        raise ConnectionResetError("the container closed the connection after 101")
    loop = asyncio.get_running_loop()
    from_client = _Incoming(request.protocol)
    request.protocol.set_parser(from_client)  # type: ignore[arg-type]  # aiohttp names its own parser only
    from_container = _Incoming(connection.protocol)
    connection.protocol.set_parser(from_container, from_container.stream)
    await response.prepare(request)
    to_container = StreamWriter(connection.protocol, loop)
    last = loop.time()

    async def pump(source: StreamReader, write: Callable[[bytes], Awaitable[None]]) -> None:
        nonlocal last
        while data := await source.readany():
            last = loop.time()
            await write(data)

    async def watch() -> None:
        while loop.time() < last + idle_timeout:
            await asyncio.sleep(last + idle_timeout - loop.time())

    ways = [
        asyncio.ensure_future(way)
        for way in (
            pump(from_client.stream, to_container.write),
            pump(from_container.stream, response.write),
            watch(),
        )
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        response.force_close()
