"""What can go wrong with a request before a container has answered it, and how the client is told.

Every error is OpenAI's object, `{"error": {"message", "type", "param", "code"}}`, as the APIs behind the proxy answer.
"""

import json
import math
from http import HTTPStatus

from aiohttp import web


class RequestError(Exception):
    """A request that gets an error instead of the container's answer."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal_error"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds from now."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class BadRequest(RequestError):
    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"


class UploadTooSlow(RequestError):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


class UnknownHost(RequestError):
    status = HTTPStatus.NOT_FOUND
    code = "unknown_host"


class Asleep(RequestError):
    """The service sleeps, and the request is of a kind that does not wake it."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "asleep"


class Starting(RequestError):
    """The service is being started, and does not let clients wait."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "starting"


class StartFailed(RequestError):
    """The stack could not be started, or went away before it was ready."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "start_failed"


class EngineUnavailable(StartFailed):
    """The Docker Engine does not answer."""

    code = "engine_unavailable"


class TooManyHeld(RequestError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "too_many_waiting"


class Withdrawn(RequestError):
    """The service left the configuration while the request waited."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "service_withdrawn"


class Stopping(RequestError):
    """The service or the daemon is being stopped, and the request would delay that, or waited for it, for too long."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "stopping"


class StartTimeout(RequestError):
    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "start_timeout"


class BadGateway(RequestError):
    status = HTTPStatus.BAD_GATEWAY
    code = "upstream_failed"


class UpstreamTimeout(RequestError):
    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "upstream_timeout"


def error_object(code: str, message: str, status: int) -> str:
    """The JSON text of OpenAI's error object."""
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def error_headers(error: RequestError) -> dict[str, str]:
    """Headers that every answer made here has, whatever its body."""
    headers = {"Cache-Control": "no-store", "Server": "docker-autostart"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def error_response(error: RequestError) -> web.Response:
    return web.Response(
        status=error.status,
        text=error_object(error.code, error.message, error.status),
        content_type="application/json",
        headers=error_headers(error),
    )
