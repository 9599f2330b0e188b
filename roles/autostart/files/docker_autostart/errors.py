"""What can go wrong with a request before a container has responded to it; `error_responses` turns these into HTTP."""


class RequestError(Exception):
    """A request that gets an error instead of the container's answer."""

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
    """The service sleeps, and the request is of a kind that does not wake it."""

    code = "asleep"


class Starting(RequestError):
    """The service is being started, and does not let clients wait."""

    code = "starting"


class StartFailed(RequestError):
    """The stack could not be started, or went away before it was ready."""

    code = "start_failed"


class EngineUnavailable(StartFailed):
    """The Docker Engine does not answer."""

    code = "engine_unavailable"


class TooManyWaiting(RequestError):
    code = "too_many_waiting"


class ServiceRemoved(RequestError):
    """The service left the configuration while the request waited."""

    code = "service_withdrawn"


class Stopping(RequestError):
    """The service or the daemon is being stopped, and the request would delay that, or waited for it, for too long."""

    code = "stopping"


class StartTimeout(RequestError):
    code = "start_timeout"


class BadGateway(RequestError):
    code = "upstream_failed"


class UpstreamTimeout(RequestError):
    code = "upstream_timeout"
