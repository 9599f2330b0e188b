"""Requests of the vhosts: find the service, have it awake, pass the request on, stream the answer back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import yarl
from aiohttp import web
from multidict import CIMultiDict

from docker_autostart.configuration import ServiceSettings, normalize_host
from docker_autostart.connections import abort_when_abandoned
from docker_autostart.errors import (
    BadGateway,
    BadRequest,
    RequestError,
    StartFailed,
    Starting,
    UpstreamTimeout,
    error_response,
)
from docker_autostart.fleet import Fleet
from docker_autostart.headers import REQUEST_ID, request_id, to_client, to_container
from docker_autostart.pages import waiting_page
from docker_autostart.service import Service, Visit
from docker_autostart.tunnel import run_tunnel

CONNECT_TIMEOUT = 2.0
IDLE_TIMEOUT = 600.0
POOLED_SECONDS = 2.0
"""Less than servers keep an idle connection (uvicorn: 5 s), so that none is used that is about to be closed."""
PAGE_RETRY = 2.0

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods whose requests may be sent twice, should the container close the connection before it answers."""

log = logging.getLogger("docker_autostart")

Outcome = Callable[[str, int, bool], None]
"""host ("" where unknown), status, whether the request waited for a start."""


@dataclass(frozen=True, slots=True)
class _Target:
    host: str  # as the client wrote it
    path: str  # with the query, as the client wrote it


class _Upload:
    """A request's body, read from the client when the container takes it."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.begun = False
        self.failure: BaseException | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._request.content
        if self._request.headers.get("Expect", "").lower() == "100-continue" and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            while True:
                async with asyncio.timeout(IDLE_TIMEOUT):
                    chunk = await content.readany()
                if not chunk:
                    return
                self.begun = True
                yield chunk
        except Exception as error:
            self.failure = error
            raise


class Proxy:
    """`handle` is the handler of every request that arrives at the daemon's port."""

    def __init__(self, fleet: Fleet, count: Outcome) -> None:
        """Within a running loop."""
        self._fleet = fleet
        self._count = count
        self._pooled = _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=POOLED_SECONDS))
        self._single = _session(aiohttp.TCPConnector(limit=0, force_close=True))

    async def close(self) -> None:
        await self._pooled.close()
        await self._single.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        identity = request_id(request.headers)
        service = None
        try:
            target = _target(request)
            service = self._fleet.find(normalize_host(target.host))
            async with _watched(request):
                return await self._serve(request, service, target, identity)
        except RequestError as error:
            response = self._refusal(request, service, error)
            response.headers[REQUEST_ID] = identity
            self._count(service.settings.host if service else "", error.status, False)
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

    async def _serve(
        self, request: web.BaseRequest, service: Service, target: _Target, identity: str
    ) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        settings = service.settings
        wake = _wakes(settings, request, target)
        arrived = loop.time()
        waited: float | None = None
        for attempt in (1, 2):
            if wake and not settings.blocking and not service.enter_ready_or_raise():
                service.wake()
                raise Starting(f"{settings.name} is starting.", retry_after=PAGE_RETRY)
            ready = service.enter_ready_or_raise(wake=wake)
            visit = await self._fleet.enter(service, wake=wake)
            if not ready:
                waited = loop.time() - arrived
            try:
                response = await self._pass_on(request, service, visit, target, identity, waited, attempt == 2)
            finally:
                service.leave(visit)
            if response is not None:
                return response
        raise AssertionError("the second attempt answers or raises")

    async def _pass_on(
        self,
        request: web.BaseRequest,
        service: Service,
        visit: Visit,
        target: _Target,
        identity: str,
        waited: float | None,
        last: bool,
    ) -> web.StreamResponse | None:
        """None where the container did not take the request and it can be sent again, which is not so if `last`."""
        settings = service.settings
        upload = _Upload(request) if request.body_exists else None
        session = self._pooled if request.method in _SAFE and upload is None else self._single
        url = yarl.URL(f"http://127.0.0.1:{settings.proxy_port}{target.path}", encoded=True)
        try:
            upstream = await session.request(
                request.method,
                url,
                headers=to_container(request, target.host, identity),
                data=None if upload is None else upload.chunks(),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if upload is not None and upload.failure is not None:
                raise _body_error(upload.failure) from error
            connected = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            if isinstance(error, TimeoutError) and connected:
                raise UpstreamTimeout(f"{settings.name} did not answer within {IDLE_TIMEOUT:g} s.") from error
            if isinstance(error, aiohttp.ClientResponseError):
                log.warning("%s: answered what is not HTTP: %s", settings.host, error.message)
                raise BadGateway(f"{settings.name} answered what is not HTTP.") from error
            service.distrust(visit)
            repeatable = not connected or request.method in _SAFE or upload is not None
            if not last and repeatable and (upload is None or not upload.begun):
                return None
            log.warning("%s: request %s: %r", settings.host, identity, error)
            raise BadGateway(f"{settings.name} closed the connection without an answer.") from error
        self._count(settings.host, upstream.status, waited is not None)
        try:
            return await _answer(request, upstream, to_client(upstream.headers, identity, waited))
        finally:
            upstream.close()


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=IDLE_TIMEOUT),
    )


def _target(request: web.BaseRequest) -> _Target:
    """Host and path of a request, of which RFC 9112, section 3.2, allows four forms. Raises `BadRequest`."""
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
    return _Target(host, path)


def _wakes(settings: ServiceSettings, request: web.BaseRequest, target: _Target) -> bool:
    if request.method == "OPTIONS" or request.method in settings.no_wake_methods:
        return False
    if settings.no_wake_paths and target.path.partition("?")[0] in settings.no_wake_paths:
        return False
    agent = request.headers.get("User-Agent", "").lower()
    return not any(substring.lower() in agent for substring in settings.no_wake_user_agents)


@asynccontextmanager
async def _watched(request: web.BaseRequest) -> AsyncIterator[None]:
    """Notice a client that leaves during a body that is not read; one without a body is noticed by its connection."""
    if request.content.is_eof():
        yield
        return
    watch = asyncio.create_task(abort_when_abandoned(request))
    try:
        yield
    finally:
        watch.cancel()


def _body_error(failure: BaseException) -> RequestError:
    if isinstance(failure, TimeoutError):
        return BadRequest(f"The rest of the body did not come within {IDLE_TIMEOUT:g} s.")
    return BadRequest("The body is malformed or incomplete.")


async def _answer(
    request: web.BaseRequest, upstream: aiohttp.ClientResponse, headers: CIMultiDict[str]
) -> web.StreamResponse:
    if upstream.status == HTTPStatus.SWITCHING_PROTOCOLS:
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = upstream.headers.get("Upgrade", "")
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
        await run_tunnel(request, response, upstream, IDLE_TIMEOUT)
    elif upstream.content.is_eof() and (body := upstream.content.read_nowait(-1)):
        # All of it came with the head: so it goes, in one piece.
        return web.Response(status=upstream.status, reason=upstream.reason, headers=headers, body=body)
    else:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
        await _stream(request, response, upstream)
    return response


async def _stream(request: web.BaseRequest, response: web.StreamResponse, upstream: aiohttp.ClientResponse) -> None:
    """Pass the body on as it comes. What the container breaks off is broken off for the client, too."""
    await response.prepare(request)
    try:
        while chunk := await upstream.content.readany():
            async with asyncio.timeout(IDLE_TIMEOUT):
                await response.write(chunk)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("answer broken off: %r", error)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from error
    await response.write_eof()
