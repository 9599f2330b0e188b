"""Requests to stop a service, and their outcome."""

import asyncio
from dataclasses import dataclass


class StopFailed(Exception):
    """The stack could not be stopped."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """`by_operator`: waits for requests and jobs, and a new request does not cancel it."""

    reason: str
    by_operator: bool
    outcome: asyncio.Future[bool]


class StopRequests:
    """At most one at a time; an operator's replaces another one."""

    def __init__(self) -> None:
        self.current: StopRequest | None = None

    @property
    def by_operator(self) -> bool:
        return self.current is not None and self.current.by_operator

    @property
    def reason(self) -> str:
        return "idle" if self.current is None else self.current.reason

    def add(self, reason: str, *, by_operator: bool) -> StopRequest:
        """Return the request whose outcome to wait for: the current one, or a new one that replaces it."""
        if self.current is None or (by_operator and not self.current.by_operator):
            self.finish(stopped=False)
            self.current = StopRequest(reason, by_operator, asyncio.get_running_loop().create_future())
        return self.current

    def cancel(self) -> None:
        """Cancel the stop because of a request or a job, unless an operator asked for it."""
        if not self.by_operator:
            self.finish(stopped=False)

    def finish(self, *, stopped: bool) -> None:
        if self.current is not None and not self.current.outcome.done():
            self.current.outcome.set_result(stopped)
        self.current = None

    def fail(self, error: StopFailed) -> None:
        if self.current is not None and not self.current.outcome.done():
            self.current.outcome.set_exception(error)
        self.current = None
