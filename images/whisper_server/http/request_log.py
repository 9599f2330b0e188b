"""One JSON log line per request, and the request id; never a transcript, never a token.

`real_time_factor` is seconds of audio per second of engine time: 10 means ten times faster than real time.
"""

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisper_server.http.errors import error_response, internal_error
from whisper_server.process.log_entry import Entry
from whisper_server.process.metrics import Metrics

_logger = logging.getLogger("whisper_server")

# Requested every few seconds by monitors: logged at debug level only.
_PROBES = ("/busy", "/health", "/metrics", "/ready")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def entry_of(request: HTTPConnection) -> Entry:
    """The log entry of a request, to be completed by its handler."""
    entry: Entry = request.scope["whisper_server.log_entry"]
    return entry


class RequestLog:
    """The outermost ASGI middleware: request ids, the log, and the response to unexpected errors."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        start = time.monotonic()
        entry = scope["whisper_server.log_entry"] = Entry(_request_id(scope))
        status = 0

        async def tagged_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = entry.request_id
            await send(message)

        failure: Exception | None = None
        try:
            await self._app(scope, receive, tagged_send)
        except Exception as error:
            failure = error
            if status:
                raise  # A part of the response was sent: uvicorn closes the connection.
            await error_response(internal_error(entry.request_id))(scope, receive, tagged_send)
        finally:
            seconds = time.monotonic() - start
            # The route's template, not the requested path, which is the client's text.
            route = getattr(scope.get("route"), "path", None)
            self._metrics.count_request(scope["method"], route, status, seconds)
            _write(scope["method"], route, entry, status, seconds, failure)


def _request_id(scope: Scope) -> str:
    """The proxy's request id if it sent a valid one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _write(
    method: str, route: str | None, entry: Entry, status: int, seconds: float, failure: Exception | None
) -> None:
    line: dict[str, Any] = {
        "request_id": entry.request_id,
        "method": method,
        "route": route,
        "status": status,
        "wall_seconds": round(seconds, 3),
    }
    line |= entry.work()
    level = logging.ERROR if status >= 500 else logging.INFO
    if route in _PROBES and failure is None:
        level = logging.DEBUG
    _logger.log(level, "request", extra={"line": line}, exc_info=failure)
