"""One JSON line for every request, and the request's id; never what was said, never a token.

`real_time_factor` is seconds of audio per second of engine time: 10 means ten times faster than real time.
"""

import json
import logging
import re
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisper_api.errors import internal_error

_logger = logging.getLogger("whisper_api")

# Asked every few seconds by supervisors: of no interest while they say what they always say.
_PROBES = ("/health", "/ready")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass
class Entry:
    """What routes add to their request's line."""

    request_id: str
    model: str | None = None
    audio_seconds: float | None = None
    engine_seconds: float | None = None


def entry_of(request: HTTPConnection) -> Entry:
    entry: Entry = request.scope["whisper_api.log_entry"]
    return entry


class RequestLog:
    """The outermost ASGI middleware: request ids, the log, and the answer to errors nobody foresaw."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        start = time.monotonic()
        entry = scope["whisper_api.log_entry"] = Entry(_request_id(scope))
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
                raise  # Half an answer is out: uvicorn closes the connection.
            await internal_error(entry.request_id)(scope, receive, tagged_send)
        finally:
            _write(scope, entry, status, time.monotonic() - start, failure)


def _request_id(scope: Scope) -> str:
    """The proxy's id where it sent a plain one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _write(scope: Scope, entry: Entry, status: int, seconds: float, failure: Exception | None) -> None:
    # The template, not the path that was asked for: paths are the client's text.
    route = getattr(scope.get("route"), "path", None)
    line: dict[str, Any] = {
        "request_id": entry.request_id,
        "method": scope["method"],
        "route": route,
        "status": status,
        "wall_seconds": round(seconds, 3),
    }
    if entry.model is not None:
        line["model"] = entry.model
    if entry.audio_seconds is not None and entry.engine_seconds:
        line["audio_seconds"] = round(entry.audio_seconds, 3)
        line["engine_seconds"] = round(entry.engine_seconds, 3)
        line["real_time_factor"] = round(entry.audio_seconds / entry.engine_seconds, 1)
    level = logging.ERROR if status >= 500 else logging.INFO
    if route in _PROBES and failure is None:
        level = logging.DEBUG
    _logger.log(level, "request", extra={"line": line}, exc_info=failure)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "line", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_to_stdout(level: str) -> None:
    """Lets the lines of this package and of the engines out, as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    _logger.handlers = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False
