"""The only place where an error becomes an HTTP response: always OpenAI's error object with its four keys.

Source: the `Error` and `ErrorResponse` schemas of OpenAI's API specification.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from whisper_server.speech import errors
from whisper_server.work.disk_space import is_full_disk
from whisper_server.work.inference_queue import QueueFull
from whisper_server.work.job_errors import JobError, JobNotFound, StorageFull, TooManyJobs
from whisper_server.work.job_records import Failure

ErrorType = Literal["invalid_request_error", "rate_limit_error", "server_error"]

# nginx's status for a client that disconnected; it is only logged.
CLIENT_CLOSED_REQUEST = 499


class Error(BaseModel):
    message: str
    type: ErrorType
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    error: Error


class ApiError(HTTPException):
    """An error with its status; an HTTPException, because FastAPI replaces other exceptions while it reads a body."""

    def __init__(
        self,
        status_code: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code, message, dict(headers or {}))
        if retry_after is not None:
            self.headers = {**(self.headers or {}), "retry-after": str(retry_after)}
        self.param = param
        self.code = code


def error_object(error: HTTPException) -> Error:
    """OpenAI's error object for an HTTPException."""
    kind: ErrorType = "invalid_request_error"
    if error.status_code == 429:
        kind = "rate_limit_error"
    elif error.status_code >= 500:
        kind = "server_error"
    return Error(
        message=error.detail,
        type=kind,
        param=getattr(error, "param", None),
        code=getattr(error, "code", None),
    )


def error_response(error: HTTPException) -> JSONResponse:
    """OpenAI's error object as a response."""
    content = ErrorResponse(error=error_object(error))
    return JSONResponse(content.model_dump(), error.status_code, headers=error.headers)


def internal_error(request_id: str) -> ApiError:
    """The error for an unexpected exception, whose traceback is in the log under the same request id."""
    message = f"The server failed on this request. Its log has the details under request id {request_id}."
    return ApiError(500, message, code="internal_error")


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these error statuses, and any other, as OpenAI's object."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": _DESCRIPTIONS[status]} for status in statuses
    }
    # "default" also keeps FastAPI from documenting its own 422, which this server never sends.
    responses["default"] = {"model": ErrorResponse, "description": "Any other error."}
    return responses


_DESCRIPTIONS = {
    400: "A parameter is missing or wrong, or the audio cannot be decoded; `param` names it.",
    403: "Clients may not do this.",
    404: "No such model, or no such job.",
    409: "The model is in use.",
    413: "The upload, or the recording's length, exceeds the limit.",
    415: "The request is not multipart/form-data, or the file contains no audio.",
    429: "Too many requests, uploads or jobs at the moment; `Retry-After` says when to try again.",
    503: "A model, or disk space, is not available at the moment; `Retry-After` says when to try again.",
}


class _Known(NamedTuple):
    """The response to an exception of `speech` or `work`; its own `param` and `retry_after` take precedence."""

    status: int
    code: str
    param: str | None = None


_KNOWN = {
    errors.ModelNotFound: _Known(404, code="model_not_found", param="model"),
    errors.ModelUnavailable: _Known(503, code="model_unavailable", param="model"),
    errors.DiarizationUnavailable: _Known(503, code="diarization_unavailable", param="diarize"),
    errors.NoSpace: _Known(503, code="no_space"),
    errors.ModelTooLarge: _Known(400, code="model_too_large", param="model"),
    errors.ModelInUse: _Known(409, code="model_in_use", param="model"),
    errors.ModelProtected: _Known(403, code="model_protected", param="model"),
    errors.AudioTooLong: _Known(413, code="audio_too_long", param="file"),
    errors.NotAudio: _Known(415, code="unsupported_media_type", param="file"),
    errors.UndecodableAudio: _Known(400, code="undecodable_audio", param="file"),
    errors.UnsupportedOption: _Known(400, code="unsupported_option"),
    QueueFull: _Known(429, code="queue_full"),
    JobNotFound: _Known(404, code="job_not_found", param="job_id"),
    TooManyJobs: _Known(429, code="too_many_jobs"),
    StorageFull: _Known(503, code="no_space", param="file"),
}
# The exceptions that `api_error` maps.
KNOWN = (errors.SpeechError, JobError, QueueFull)


def api_error(error: errors.SpeechError | JobError | QueueFull) -> ApiError:
    """The HTTP error of an exception of `speech` or `work`."""
    known = _KNOWN[type(error)]
    param = getattr(error, "param", known.param)
    retry_after = getattr(error, "retry_after", None)
    if isinstance(error, errors.NoSpace):
        retry_after = 60 if param == "file" else 3600
    return ApiError(known.status, str(error), param=param, code=known.code, retry_after=retry_after)


def no_space() -> ApiError:
    """The error for a full disk."""
    return api_error(StorageFull())


def failure_of(error: Exception, request_id: str) -> Failure:
    """The error object of a job that ended with an exception."""
    if isinstance(error, KNOWN):
        shown = api_error(error)
    elif is_full_disk(error):
        shown = no_space()
    else:
        shown = internal_error(request_id)
    return Failure(**error_object(shown).model_dump())


def _from_framework(request: Request, error: HTTPException) -> HTTPException:
    match error.status_code:
        case 404:
            return ApiError(404, "This URL does not exist. GET /docs lists those that do.", code="not_found")
        case 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            message = f"This URL does not accept {request.method}. Use {allowed}."
            return ApiError(405, message, code="method_not_allowed", headers=error.headers)
    return error


def _from_validation(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """The first of pydantic's errors: OpenAI's object holds only one."""
    first = errors[0]
    # loc is ("body", name, …); the name may be followed by a position in a list.
    param = str(first["loc"][1]) if len(first["loc"]) > 1 else None
    if first["type"] == "missing":
        return ApiError(400, f"`{param}` is required and was not sent.", param=param, code="missing_parameter")
    return ApiError(400, f"`{param}`: {first['msg']}.", param=param, code="invalid_parameter")


def add_handlers(app: FastAPI) -> None:
    """Turns every error, those of the framework too, into OpenAI's error object."""

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return error_response(error if isinstance(error, ApiError) else _from_framework(request, error))

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> Response:
        return error_response(_from_validation(error.errors()))

    @app.exception_handler(errors.SpeechError)
    @app.exception_handler(JobError)
    @app.exception_handler(QueueFull)
    async def known_error(_: Request, error: errors.SpeechError | JobError | QueueFull) -> Response:
        return error_response(api_error(error))

    @app.exception_handler(OSError)
    async def system_error(_: Request, error: OSError) -> Response:
        if not is_full_disk(error):
            raise error
        return error_response(no_space())

    @app.exception_handler(ClientDisconnect)
    async def client_gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
