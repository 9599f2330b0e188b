"""Errors of requests to which no container has responded; `error_responses` turns them into HTTP responses."""


class RequestError(Exception):
    """A request gets this error instead of a response of the container."""

    code = "internal_error"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds from now."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class BadRequest(RequestError):
    code = "bad_request"


class Conflict(RequestError):
    """An operator's command that the service's state does not allow."""

    code = "not_done"


class UploadTooSlow(RequestError):
    code = "request_timeout"


class UnknownHost(RequestError):
    code = "unknown_host"


class Asleep(RequestError):
    """The service is stopped, and this kind of request does not start it."""

    code = "asleep"


class Starting(RequestError):
    """The service is starting, and is configured not to let clients wait."""

    code = "starting"


class StartFailed(RequestError):
    """The stack could not be started, or stopped before it was ready."""

    code = "start_failed"


class EngineUnavailable(StartFailed):
    """The Docker Engine does not answer."""

    code = "engine_unavailable"


class TooManyWaiting(RequestError):
    code = "too_many_waiting"


class ServiceRemoved(RequestError):
    """The service was removed from the configuration while the request waited."""

    code = "service_withdrawn"


class Stopping(RequestError):
    """The service or the daemon is stopping, and the request has delayed that, or waited for it, too long."""

    code = "stopping"


class StartTimeout(RequestError):
    code = "start_timeout"


class BadGateway(RequestError):
    code = "upstream_failed"


class UpstreamTimeout(RequestError):
    code = "upstream_timeout"
