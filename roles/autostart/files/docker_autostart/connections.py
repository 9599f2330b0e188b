"""Client connections: timeouts for request heads, JSON errors, and detection of clients that disconnected."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from docker_autostart.error_responses import error_response
from docker_autostart.errors import BadRequest, RequestError

HEADER_TIMEOUT = 30.0
"""Seconds from a request's first byte, or from the accept of the connection, to the end of its head."""
KEEPALIVE_TIMEOUT = 75.0
LAST_KEEPALIVE_TIMEOUT = 5.0
"""Keep-alive timeout of idle connections during shutdown, in seconds; nginx closes its own after one second."""
BODY_POLL = 0.5
ENDING_POLL = 0.05
HELD_BODY = 64 * 1024
"""Up to twice as much of an unread body is buffered, plus one read of the socket: at most 250 KiB."""

_TCP_CLOSE, _TCP_CLOSE_WAIT = 7, 8
"""Linux, include/net/tcp_states.h."""

log = logging.getLogger("docker_autostart")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ClientConnection(web.RequestHandler):
    """aiohttp's connection with a timeout for request heads, which aiohttp does not have."""

    __slots__ = ("_body", "_head_timer", "idle_since")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None
        self.idle_since: float | None = self._loop.time()
        """Loop time since which the connection is idle; None while a request is handled."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(HEADER_TIMEOUT, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.idle_since is not None and self._head_timer is None and data:
            self._head_timer = self._loop.call_later(HEADER_TIMEOUT, self.force_close)
        super().data_received(data)
        if self._body is not None and self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            # aiohttp queues what it cannot parse within a body as the next request; a reader of the body would wait for
            # its end forever.
            self._body.set_exception(web.RequestPayloadError("malformed body"))
            self._body.feed_eof()

    def request_begins(self, request: web.BaseRequest) -> None:
        self.idle_since = None
        self._body = None if request.content.is_eof() else request.content
        self._stop_head_timer()

    def request_ends(self) -> None:
        self.idle_since = self._loop.time()
        self._body = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called by aiohttp for parser errors and for exceptions of the handler."""
        self._stop_head_timer()
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        if status == 400:
            reason = (message or "malformed").split("\n", 1)[0].strip(" :")
            error: RequestError = BadRequest(f"Not a valid HTTP request: {reason}.")
        else:
            log.error("request failed", exc_info=exc)
            error = RequestError("Internal error.")
        response = error_response(error)
        response.force_close()
        return response

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class ClientConnections(web.Server):
    """Creates one `ClientConnection` per accepted socket."""

    def __init__(self, handler: Handler) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            connection = cast(ClientConnection, request.protocol)
            connection.request_begins(request)
            try:
                return await handler(request)
            finally:
                connection.request_ends()

        super().__init__(handle, request_factory=self._request, handler_cancellation=True)
        self._ends = False

    async def end(self, timeout: float, meanwhile: Callable[[], None]) -> None:
        """Return when all connections are closed, or after `timeout` seconds; none is accepted any more.

        `meanwhile` is called every `ENDING_POLL` seconds, to end requests that take too long.

        An idle connection is not closed immediately: its client may be sending the next request, which would be lost.
        Responses have `Connection: close` from now on (RFC 9112, section 9.6).
        """
        self._ends = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self.connections and loop.time() < deadline:
            meanwhile()
            for connection in cast(list[ClientConnection], self.connections):
                if connection.idle_since is not None and loop.time() > connection.idle_since + LAST_KEEPALIVE_TIMEOUT:
                    connection.force_close()
            await asyncio.sleep(ENDING_POLL)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if self._ends:
            message = message._replace(should_close=True)
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    def __call__(self) -> ClientConnection:
        return ClientConnection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            access_log=None,
            auto_decompress=False,
            read_bufsize=HELD_BODY,
            max_field_size=16384,
            max_line_size=16384,
        )


async def give_up_body(request: web.BaseRequest, waits_since: Callable[[], float | None], timeout: float) -> None:
    """End the wait for a body if the client disconnects, or sends nothing for more than `timeout` seconds.

    `waits_since` returns the loop time since which a reader waits for more of the body; None while nobody reads it.

    The event loop does not notice that a connection is closed while it does not read from it; the kernel does. A client
    that closed only its sending half counts as disconnected, because a proxy in front that disconnects looks the same.
    If more was sent than the socket buffers, the kernel notices an orderly close only when that is read; then the
    timeout ends the wait.
    """
    while not request.content.is_eof() and request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state in {_TCP_CLOSE, _TCP_CLOSE_WAIT}:
            request.transport.abort()
            return
        since = waits_since()
        if since is not None and asyncio.get_running_loop().time() > since + timeout:
            request.content.set_exception(TimeoutError())
            return
        await asyncio.sleep(BODY_POLL)
