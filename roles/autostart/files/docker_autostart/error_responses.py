"""The HTTP response to a request that failed before a container has responded to it.

Every body is OpenAI's object, `{"error": {"message", "type", "param", "code"}}`, as those of the APIs behind it are.
"""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from docker_autostart.errors import (
    BadGateway,
    BadRequest,
    Conflict,
    RequestError,
    StartTimeout,
    UnknownHost,
    UploadTooSlow,
    UpstreamTimeout,
)

_STATUSES: Mapping[type[RequestError], HTTPStatus] = {
    RequestError: HTTPStatus.INTERNAL_SERVER_ERROR,
    BadRequest: HTTPStatus.BAD_REQUEST,
    UnknownHost: HTTPStatus.NOT_FOUND,
    UploadTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Conflict: HTTPStatus.CONFLICT,
    BadGateway: HTTPStatus.BAD_GATEWAY,
    StartTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    UpstreamTimeout: HTTPStatus.GATEWAY_TIMEOUT,
}


def status_of(error: RequestError) -> HTTPStatus:
    """503 for all other errors: the service cannot handle the request now, but may later."""
    return _STATUSES.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE)


def error_object(code: str, message: str, status: int) -> str:
    """The JSON text of OpenAI's error object."""
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def error_headers(error: RequestError) -> dict[str, str]:
    """Headers of every response created here."""
    headers = {"Cache-Control": "no-store", "Server": "docker-autostart"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def error_response(error: RequestError) -> web.Response:
    return web.Response(
        status=status_of(error),
        text=error_object(error.code, error.message, status_of(error)),
        content_type="application/json",
        headers=error_headers(error),
    )
