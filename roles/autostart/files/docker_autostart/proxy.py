"""The reverse proxy: finds the service, starts it if necessary, and forwards request and response."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.streams import StreamReader

from docker_autostart.configuration import ServiceSettings, normalize_host
from docker_autostart.connections import give_up_body
from docker_autostart.error_responses import error_response, status_of
from docker_autostart.errors import (
    Asleep,
    BadGateway,
    BadRequest,
    RequestError,
    StartFailed,
    Starting,
    Stopping,
    UploadTooSlow,
    UpstreamTimeout,
)
from docker_autostart.fleet import Fleet
from docker_autostart.headers import REQUEST_ID, request_id, to_client, to_container
from docker_autostart.leases import Lease
from docker_autostart.pages import waiting_page
from docker_autostart.refusals import RETRY_LATER
from docker_autostart.service import Service
from docker_autostart.tunnel import run_tunnel
from docker_autostart.upstream import Answer, Upstream

IDLE_TIMEOUT = 600.0
UPLOAD_PIECE = 64 * 1024
UPLOAD_STALL = 60.0
"""Seconds within which a client must send another `UPLOAD_PIECE` bytes.

An upload keeps its service running and its memory in use, which another service may need; a trickling one must not.
"""
PAGE_RETRY = 2.0

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods whose requests may be sent again if the container closes the connection without a response."""

log = logging.getLogger("docker_autostart")

CLIENT = "X-Remote-User"
"""Header in which nginx passes the authenticated API key or user; it replaces what the client sent."""

Outcome = Callable[[str, int, str, str], None]
"""host ("" where unknown), status, cold, warm or asleep (`metrics.REQUESTS`), client."""


class _Body:
    """A request's body: in one piece if it was received completely, otherwise streamed to the container."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._whole: bytes | None = None
        self.waits_since: float | None = None
        """Loop time since which the proxy waits for the client; all waits for the current piece count as one."""
        self.begun = False
        """Whether the container may have received a part of the body, or a whole request without one."""

    @property
    def lost(self) -> bool:
        """Whether the body cannot be sent again."""
        return self.begun and self._whole is None

    def take(self) -> bytes | AsyncIterator[bytes]:
        """The iterator first yields what was received, which may be empty; it raises `BadRequest`, `UploadTooSlow`."""
        if self._whole is None and self._request.content.is_eof():
            self._whole = self._request.content.read_nowait()
        if self._whole is None:
            return self._chunks()
        self.begun = True
        return self._whole

    async def _chunks(self) -> AsyncIterator[bytes]:
        content = self._request.content
        loop = asyncio.get_running_loop()
        if self._request.headers.get("Expect", "").lower() == "100-continue" and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            chunk = content.read_nowait()
            self.begun = bool(chunk)
            yield chunk
            piece, waited = 0, 0.0
            while True:
                self.waits_since = loop.time() - waited
                chunk = await content.readany()
                waited, self.waits_since = loop.time() - self.waits_since, None
                if not chunk:
                    return
                piece += len(chunk)
                if piece >= UPLOAD_PIECE:
                    piece, waited = 0, 0.0
                self.begun = True
                yield chunk
        except TimeoutError as error:
            message = f"The upload is too slow: {UPLOAD_PIECE} bytes more did not come within {UPLOAD_STALL:g} s."
            raise UploadTooSlow(message) from error
        except (web.RequestPayloadError, aiohttp.ClientError, ConnectionError) as error:
            raise BadRequest("The body is malformed or incomplete.") from error


class _Call(NamedTuple):
    """A request and its parsed parts; host and path (with query) are as the client sent them."""

    request: web.BaseRequest
    host: str
    path: str
    identity: str
    body: _Body


class Proxy:
    """`handle` handles every request for a service."""

    def __init__(self, fleet: Fleet, count: Outcome) -> None:
        """Within a running loop."""
        self._fleet = fleet
        self._count = count
        self._upstream = Upstream(IDLE_TIMEOUT)

    async def close(self) -> None:
        await self._upstream.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        identity = request_id(request.headers)
        service = None
        try:
            host, path = _target(request)
            service = self._fleet.find(normalize_host(host))
            call = _Call(request, host, path, identity, _Body(request))
            if request.content.is_eof():
                return await self._serve(call, service)
            async with _watched(call):
                return await self._serve(call, service)
        except RequestError as error:
            response = self._refusal(request, service, error)
            response.headers[REQUEST_ID] = identity
            host = service.settings.host if service else ""
            start = "asleep" if isinstance(error, Asleep) else "warm"
            self._count(host, status_of(error), start, request.headers.get(CLIENT, ""))
            return response

    def _refusal(self, request: web.BaseRequest, service: Service | None, error: RequestError) -> web.Response:
        if (
            service is not None
            and not service.settings.blocking
            and isinstance(error, Starting | StartFailed)
            and request.method in {"GET", "HEAD"}
            and "text/html" in request.headers.get("Accept", "").lower()
        ):
            return waiting_page(service.settings.name, service.settings.theme, error)
        response = error_response(error)
        if isinstance(error, BadRequest) or not request.content.is_eof():
            response.force_close()
        return response

    async def _serve(self, call: _Call, service: Service) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        settings = service.settings
        wake = _wakes(settings, call)
        arrived = loop.time()
        waited: float | None = None
        for last in (False, True):
            lease = service.try_acquire(wake=wake)
            if lease is None:
                if not settings.blocking:
                    service.request_start()
                    raise Starting(f"{settings.name} is starting.", retry_after=PAGE_RETRY)
                lease = await self._fleet.wait_for_start(service)
                waited = loop.time() - arrived
            async with _stay(call, service, lease):
                answer = await self._ask(call, service, lease, last=last)
                if answer is not None:
                    client = call.request.headers.get(CLIENT, "")
                    self._count(settings.host, answer.status, "warm" if waited is None else "cold", client)
                    try:
                        return await _pass_back(call, answer, waited)
                    finally:
                        answer.end()
        raise AssertionError("the last attempt answers or raises")

    async def _ask(self, call: _Call, service: Service, lease: Lease, *, last: bool) -> Answer | None:
        """Return None if the container did not accept the request and it can be sent again; never if `last`."""
        settings = service.settings
        connected = False
        try:
            connection = await self._upstream.connect(settings.proxy_port)
            connected = True
            headers = to_container(call.request, call.host, call.identity)
            return await self._upstream.exchange(connection, call.request.method, call.path, headers, call.body.take())
        except HttpProcessingError as error:
            log.warning("%s: answered what is not HTTP: %s", settings.host, error.message)
            raise BadGateway(f"{settings.name} answered what is not HTTP.") from error
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            if isinstance(error, TimeoutError) and connected:
                raise UpstreamTimeout(f"{settings.name} did not answer within {IDLE_TIMEOUT:g} s.") from error
            service.report_connection_refused(lease)
            unseen = not connected or not call.body.begun
            if (unseen or call.request.method in _SAFE) and not call.body.lost and not last:
                return None
            log.warning("%s: request %s: %r", settings.host, call.identity, error)
            raise BadGateway(f"{settings.name} closed the connection without an answer.") from error


def _target(request: web.BaseRequest) -> tuple[str, str]:
    """Host and path of a request target in any of the four forms of RFC 9112, section 3.2. Raises `BadRequest`."""
    if request.version < aiohttp.HttpVersion10:
        raise BadRequest("HTTP before 1.0 is not served.")
    written = request.raw_path
    if request.method == "CONNECT":
        raise BadRequest("CONNECT is not served here.")
    if not written.isascii() or "#" in written:
        raise BadRequest("The request target has characters that must be percent-encoded.")
    if len(request.headers.getall("Host", ())) > 1:
        raise BadRequest("More than one Host header.")
    host = request.headers.get("Host", "")
    if written.startswith("/"):
        path = written
    elif written.startswith(("http://", "https://")):
        authority, slash, rest = written.split("://", 1)[1].partition("/")
        host, path = authority, slash + rest if slash else "/"
    elif written == "*" and request.method == "OPTIONS":
        path = "/"
    else:
        raise BadRequest("The request target is neither a path nor a URL.")
    if not host:
        raise BadRequest("The Host header is missing.")
    expectation = request.headers.get("Expect", "100-continue").lower()
    if expectation != "100-continue":
        raise BadRequest("The only expectation that can be met is 100-continue.")
    return host, path


def _wakes(settings: ServiceSettings, call: _Call) -> bool:
    if call.request.method == "OPTIONS" or call.request.method in settings.no_wake_methods:
        return False
    if call.path.partition("?")[0] in settings.no_wake_paths:
        return False
    agent = call.request.headers.get("User-Agent", "").lower()
    return not any(substring.lower() in agent for substring in settings.no_wake_user_agents)


@asynccontextmanager
async def _stay(call: _Call, service: Service, lease: Lease) -> AsyncIterator[None]:
    """Release the lease at the end. If cut, raise `Stopping`, or abort the connection if the response has begun."""
    lease.waits_since = lambda: call.body.waits_since
    try:
        async with asyncio.timeout(None) as lease.limit:
            yield
    except TimeoutError as error:
        if call.request.writer.output_size:
            log.warning("request %s: answer cut off, for a stop", call.identity)
            if call.request.transport is not None:
                call.request.transport.abort()
            raise ConnectionResetError from error
        what = "it was answered" if call.request.content.is_eof() else "its upload was complete"
        message = f"{service.settings.name} is being stopped or restarted: the request was ended before {what}."
        raise Stopping(f"{message} Send it again.", retry_after=RETRY_LATER) from error
    finally:
        service.release(lease)


@asynccontextmanager
async def _watched(call: _Call) -> AsyncIterator[None]:
    """Detect a client that disconnects or stalls during its upload; without a body its connection detects it."""
    watch = asyncio.create_task(give_up_body(call.request, lambda: call.body.waits_since, UPLOAD_STALL))
    try:
        yield
    finally:
        watch.cancel()


async def _pass_back(call: _Call, answer: Answer, waited: float | None) -> web.StreamResponse:
    request, headers = call.request, to_client(answer.headers, call.identity, waited)
    if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = answer.headers.get("Upgrade", "")
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await run_tunnel(request, response, answer.connection, IDLE_TIMEOUT)
    elif answer.content.is_eof() and (body := answer.content.read_nowait(-1)):
        # The whole response has been received: send it in one piece.
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=body)
    else:
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await _stream(request, response, answer.content)
    return response


async def _stream(request: web.BaseRequest, response: web.StreamResponse, content: StreamReader) -> None:
    """Stream the body. If the container aborts the response, abort the client's connection too."""
    await response.prepare(request)
    try:
        while chunk := await content.readany():
            async with asyncio.timeout(IDLE_TIMEOUT):
                await response.write(chunk)
        async with asyncio.timeout(IDLE_TIMEOUT):
            await response.write_eof()
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("answer broken off: %r", error)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from error
