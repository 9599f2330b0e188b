"""Sends requests to containers on reused or new connections, and reads the heads of responses.

Uses the connector, the writer and the parser of aiohttp's client, but not its session: a proxy must not handle cookies,
redirects or compression, and the session repeats requests, although only the proxy knows whether their body can be sent
again.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import NamedTuple, cast

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy

CONNECT_TIMEOUT = aiohttp.ClientTimeout(sock_connect=2.0)
KEPT_SECONDS = 1.0
"""Shorter than servers' keep-alive timeouts (uvicorn 5 s, gunicorn 2 s), so that none is reused while it closes."""


class Answer(NamedTuple):
    """The head of a container's response, and the stream of its body."""

    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    content: StreamReader
    connection: Connection
    upload: asyncio.Task[None] | None

    def end(self) -> None:
        """Keep the connection for reuse if request and response are complete, otherwise close it."""
        sent = self.upload is None or self.upload.done()
        if sent and self.content.is_eof():
            self.connection.release()
            return
        if self.upload is not None:
            self.upload.cancel()
        self.connection.close()


class Upstream:
    """Connections to the containers' ports on this machine."""

    def __init__(self, idle_timeout: float) -> None:
        """Within a running loop. `idle_timeout`: seconds until a response begins, and between its parts."""
        self._idle_timeout = idle_timeout
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS)
        self._destinations: dict[int, aiohttp.ClientRequest] = {}

    async def close(self) -> None:
        await self._connector.close()

    async def connect(self, port: int) -> Connection:
        """Raises `aiohttp.ClientConnectionError`, or TimeoutError after `CONNECT_TIMEOUT`."""
        if port not in self._destinations:
            url = yarl.URL.build(scheme="http", host="127.0.0.1", port=port)
            self._destinations[port] = aiohttp.ClientRequest("GET", url, loop=asyncio.get_running_loop())
        return await self._connector.connect(self._destinations[port], [], CONNECT_TIMEOUT)

    async def exchange(
        self,
        connection: Connection,
        method: str,
        path: str,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterator[bytes],
    ) -> Answer:
        """Send a request and return when the head of the answer is here; the connection is closed on an exception.

        Raises what `body` raises, `aiohttp.ClientError` or OSError where the container ends the connection first,
        `aiohttp.http.HttpProcessingError` where it answers what is not HTTP, and TimeoutError.
        """
        protocol = cast(ResponseHandler, connection.protocol)
        protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._idle_timeout,
        )
        upload: asyncio.Task[None] | None = None
        try:
            upload = await _write(protocol, f"{method} {path} HTTP/1.1", headers, body)
            while True:
                message, content = await protocol.read()
                if message.code >= HTTPStatus.OK or message.code == HTTPStatus.SWITCHING_PROTOCOLS:
                    return Answer(message.code, message.reason, message.headers, content, connection, upload)
        except BaseException:
            if upload is not None:
                upload.cancel()
            connection.close()
            raise


async def _write(
    protocol: ResponseHandler, request_line: str, headers: CIMultiDict[str], body: bytes | AsyncIterator[bytes]
) -> asyncio.Task[None] | None:
    """Send the head with a complete body in one piece, otherwise return a task that streams both."""
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    if isinstance(body, bytes):
        if body:
            headers["Content-Length"] = str(len(body))
        await writer.write_headers(request_line, headers)
        await writer.write_eof(body)
        protocol.start_timeout()
        return None
    if "Content-Length" not in headers:
        headers["Transfer-Encoding"] = "chunked"
        writer.enable_chunking()
    await writer.write_headers(request_line, headers)
    return asyncio.create_task(_send(body, writer, protocol))


async def _send(body: AsyncIterator[bytes], writer: StreamWriter, protocol: ResponseHandler) -> None:
    try:
        async for chunk in body:
            await writer.write(chunk)  # the first one with the head, or the head alone
        await writer.write_eof()
    except Exception as error:
        # Raised where the response is awaited, unless it has arrived.
        protocol.set_exception(error)
    else:
        protocol.start_timeout()
