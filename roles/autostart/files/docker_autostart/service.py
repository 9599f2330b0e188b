"""The state machine of one service: stopped, starting, ready, draining, stopping, failed.

Only one task (`Service.run`) starts and stops containers, so that starts and stops never overlap; `try_acquire` and
`report_connection_refused` may set the state for it. Requests `acquire` and `release`, which needs no task switch while
the service is ready. Time is the event loop's clock, in seconds. Nothing here knows Docker or sockets: a `Stack`
performs the actions, and tests substitute a virtual clock and a fake stack.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol

from docker_autostart.admission import Admission
from docker_autostart.backoff import StartBackoff
from docker_autostart.configuration import LONGEST_START_TIMEOUT, ServiceSettings
from docker_autostart.errors import (
    Asleep,
    EngineUnavailable,
    RequestError,
    ServiceRemoved,
    StartFailed,
    StartTimeout,
    Stopping,
)
from docker_autostart.events import Recorder
from docker_autostart.leases import DRAIN_TIMEOUT, Lease
from docker_autostart.stopping import StopFailed, StopRequests

START_LIMIT = LONGEST_START_TIMEOUT
"""Seconds. A start continues after its clients have timed out, so that their next attempt waits less; not forever."""

RETRY_LATER = 5.0
"""`Retry-After` where nothing better is known, in seconds."""
DRAIN_RECHECK = 1.0
"""Seconds between checks for requests and jobs while a stop waits for them to end."""


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


class StartAbandoned(Exception):
    """There was no memory for a start, and no request waits for it any more."""


class Stack(Protocol):
    """The containers of one service."""

    async def start(self) -> None:
        """Start what does not run and return when all of it can take requests. Raises `StartFailed`."""

    async def stop(self) -> None:
        """Raises `StopFailed`."""

    async def running(self) -> tuple[int, int]:
        """How many of its containers run, of how many. Raises `EngineUnavailable`."""

    async def busy(self) -> int | None:
        """The number of background jobs; None where the container does not say."""


class Service:
    """See the module. `waiting` counts requests that wait for a start, `in_flight` those that were admitted."""

    def __init__(
        self,
        settings: ServiceSettings,
        stack: Stack,
        record: Recorder,
        *,
        make_room: Callable[["Service"], Awaitable[None]] | None = None,
        last_used: float | None = None,
        pinned: bool = False,
    ) -> None:
        """`make_room` waits until enough memory is free, or raises `StartAbandoned`.

        `last_used` is loop time, from a previous process; it is kept if the containers are running.
        """
        self.settings = settings
        self.stack = stack
        self.state = State.STOPPED
        self.last_used = last_used
        self.pinned = pinned
        self.running_containers = 0
        self._record = record
        self._make_room = make_room
        self._keep_last_used = last_used is not None
        self._requests = Admission(self._left)
        self._changed = asyncio.Event()
        self._check_due = True
        self._start_wanted = False
        self._stops = StopRequests()
        self._backoff = StartBackoff()
        self._failure: StartFailed | None = None
        self._drain_from = State.STOPPED
        self._drain_since = 0.0
        self._removed = False

    # Called for requests

    @property
    def waiting(self) -> int:
        return self._requests.waiting

    @property
    def in_flight(self) -> int:
        return self._requests.in_flight

    @property
    def idle(self) -> bool:
        """Ready, with no requests but those of monitors, and not pinned."""
        return self.state is State.READY and not self.in_use and not self._requests.wanted and not self.pinned

    @property
    def in_use(self) -> bool:
        """Whether a request that keeps the service running is in flight."""
        return self._requests.in_use

    @property
    def wanted(self) -> bool:
        """Whether a start was requested."""
        return self._requests.wanted or self._start_wanted

    async def acquire(self, *, wake: bool = True) -> Lease:
        """Admit a request as soon as the service is ready; every `Lease` must be returned with `release`.

        With `wake` false it neither starts the service nor keeps it running, and gets `Asleep`, or `StartFailed`
        after a start that failed, however long ago. Raises `StartFailed` during the back-off, `ServiceRemoved`, and
        after `start_timeout` seconds `StartTimeout`, or `Stopping` during a stop.
        """
        lease = self.try_acquire(wake=wake)
        if lease is not None:
            return lease
        self._changed.set()
        timeout = self.settings.start_timeout
        lease = await self._requests.wait(timeout)
        if lease is None:
            raise self._not_ready_within(timeout)
        return lease

    def try_acquire(self, *, wake: bool = True) -> Lease | None:
        """`acquire` if that need not wait, None if it would; raises what it would raise immediately."""
        return self._requests.admit(wake) if self._is_ready_or_raise(wake) else None

    def _is_ready_or_raise(self, wake: bool) -> bool:
        if self._removed:
            raise ServiceRemoved(f"{self.settings.name} is not served any more.")
        if self.state is State.DRAINING and wake and self._drain_from is State.READY and not self._stops.by_operator:
            self.state = State.READY
            self._changed.set()
        if self.state is State.READY:
            return True
        if not wake:
            if failing := self.failing:
                wait = self._backoff.remaining(asyncio.get_running_loop().time())
                raise type(failing)(failing.message, retry_after=max(wait, RETRY_LATER))
            raise Asleep(
                f"{self.settings.name} is asleep, and this kind of request does not wake it. "
                "Send a normal request to start it."
            )
        if failure := self._failure_during_backoff():
            raise failure
        return False

    def wake(self) -> None:
        """Start without waiting. Raises `StartFailed` during the back-off after a failed start, `ServiceRemoved`."""
        if not self._is_ready_or_raise(wake=True):
            self._start_wanted = True
            self._changed.set()

    async def start_and_acquire(self) -> Lease:
        """An operator's start: `acquire` that ignores the back-off."""
        self._backoff.skip_pause()
        return await self.acquire()

    def release(self, lease: Lease) -> None:
        self._requests.release(lease)

    def _left(self, lease: Lease) -> None:
        if lease.keeps_running:
            self.last_used = asyncio.get_running_loop().time()
        if not self.in_flight and self.state is State.DRAINING:
            self._changed.set()

    def cut_late_leases(self, drain_since: float) -> None:
        """End the requests that a stop, begun at that loop time, no longer waits for."""
        self._requests.cut_late(drain_since, asyncio.get_running_loop().time())

    def report_connection_refused(self, lease: Lease) -> None:
        """The container refused a connection: check and start it before more requests are admitted."""
        if lease.generation == self._requests.generation and self.state is State.READY:
            self._record(self.settings.host, "gone", "marked ready, but refuses connections: checking again", None)
            self.state = State.STARTING
            self._changed.set()

    # Called for operators, the engine and other services

    def request_check(self) -> None:
        """The containers may have changed."""
        self._check_due = True
        self._changed.set()

    def engine_returned(self) -> None:
        """The engine is back: failures caused by the outage may be retried immediately."""
        if isinstance(self._failure, EngineUnavailable):
            self._backoff.reset()
        self.request_check()

    async def stop(self, reason: str, *, by_operator: bool) -> bool:
        """Stop once no request is in flight and no job runs; returns whether it stopped.

        An operator's stop waits for running jobs without limit and for requests as long as `Lease` allows, and new
        requests wait for the stop; any other stop is abandoned if there are any. Raises `StopFailed`.
        """
        before = self._stops.current
        request = self._stops.add(reason, by_operator=by_operator)
        if request is not before:
            self._start_wanted = False
            self._changed.set()
        return await asyncio.shield(request.outcome)

    def pin(self, pinned: bool) -> None:
        """A pinned service is not stopped when it is idle, nor to free memory for another one."""
        self.pinned = pinned
        self._record(
            self.settings.host, "pinned" if pinned else "released", "held awake" if pinned else "released", None
        )
        self._changed.set()

    def reconfigure(self, settings: ServiceSettings) -> None:
        """Apply new settings for the same containers."""
        self.settings = settings
        self._changed.set()

    def remove(self) -> None:
        """Admit no more requests; those in flight continue, those that wait get `ServiceRemoved`."""
        self._removed = True
        self._requests.refuse_all(
            ServiceRemoved(f"{self.settings.name} is not served any more.", retry_after=RETRY_LATER)
        )
        self._stops.finish(stopped=False)

    @property
    def failing(self) -> StartFailed | None:
        return self._failure if self.state is State.FAILED else None

    def idle_deadline(self) -> float | None:
        """Loop time at which an idle service is stopped; None for never.

        While a request is in flight, the earliest possible deadline.
        """
        if not self.settings.idle_timeout or self.pinned:
            return None
        if self.in_use or self.last_used is None:
            return asyncio.get_running_loop().time() + self.settings.idle_timeout
        return self.last_used + self.settings.idle_timeout

    # The task

    async def run(self) -> None:
        """Drive the state machine until cancelled."""
        while True:
            match self.state:
                case State.STOPPED | State.FAILED:
                    await self._rest()
                case State.STARTING:
                    await self._start()
                case State.READY:
                    await self._serve()
                case State.DRAINING:
                    await self._drain()
                case State.STOPPING:
                    await self._stop()

    async def _rest(self) -> None:
        while True:
            all_running = await self._all_running()
            now = asyncio.get_running_loop().time()
            if all_running is False:
                self._keep_last_used = False
            if self._stops.current is not None:
                if self.running_containers:
                    self._begin_drain()
                    return
                self._stops.finish(stopped=True)
            if all_running:
                self._record(self.settings.host, "adopted", "found running", None)
                if not self._keep_last_used:
                    self.last_used = now
                self.state = State.STARTING
                return
            if failure := self._failure_during_backoff():
                self._requests.refuse_all(failure)  # those that arrived while a failed start was being cleaned up
            if self.wanted and not self._backoff.remaining(now):
                self._keep_last_used = False
                self._record(self.settings.host, "starting", f"starting, {self.waiting} waiting", None)
                self.state = State.STARTING
                return
            leftovers = self.idle_deadline() if self.running_containers else None
            if leftovers is not None and now >= leftovers:
                self._begin_drain()
                return
            await self._wait_until(_earliest(leftovers, self._backoff.retry_at if self.wanted else None))

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._check_due = False
        start = loop.create_task(self._start_stack())
        try:
            while not start.done() and not self._stops.by_operator:
                change = loop.create_task(self._changed.wait())
                await asyncio.wait({start, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                self._changed.clear()
        finally:
            if not start.done():
                start.cancel()
                await asyncio.wait({start})
        if start.cancelled():
            self.state = State.STOPPED
            self.request_check()
            return
        try:
            start.result()
        except StartAbandoned:
            self._start_wanted = False
            self.state = State.STOPPED
        except StartFailed as failure:
            await self._fail(failure, loop.time())
        else:
            self._ready(began, loop.time())

    async def _start_stack(self) -> None:
        try:
            async with asyncio.timeout(START_LIMIT):
                if self._make_room is not None:
                    await self._make_room(self)
                await self.stack.start()
        except TimeoutError:
            raise StartFailed(f"{self.settings.name} was not ready within {START_LIMIT} s.") from None

    def _ready(self, began: float, now: float) -> None:
        self.state = State.READY
        self._requests.generation += 1
        self._failure = None
        self._backoff.succeeded()
        self._start_wanted = False
        if not self._keep_last_used:
            self.last_used = now
        self._keep_last_used = False
        self.running_containers = len(self.settings.containers)
        message = f"ready after {now - began:.2f} s, {self.waiting} waiting"
        self._record(self.settings.host, "ready", message, now - began)
        self._requests.admit_all()
        self._check_due = True

    async def _fail(self, failure: StartFailed, now: float) -> None:
        pause = self._backoff.failed(now)
        self._failure = failure
        self._start_wanted = False
        self.state = State.FAILED
        self._record(self.settings.host, "failed", f"start failed: {failure.message} Next attempt in {pause:g} s", None)
        self._requests.refuse_all(type(failure)(failure.message, retry_after=pause))
        self.last_used = now
        # Only the count matters: a failed stack is not adopted until an event arrives for it.
        self._check_due = True
        await self._all_running()

    async def _serve(self) -> None:
        while True:
            all_running = await self._all_running()
            if self.state is not State.READY:  # a connection was refused
                return
            if all_running is False:
                left = f", {self.running_containers} of its containers still run" if self.running_containers else ""
                self._record(self.settings.host, "gone", f"stopped from outside{left}", None)
                self.state = State.STOPPED
                return
            if self.in_use:
                self._stops.cancel()
            deadline = self.idle_deadline()
            now = asyncio.get_running_loop().time()
            if self._stops.current is not None or (deadline is not None and now >= deadline):
                self._begin_drain()
                return
            await self._wait_until(deadline)

    def _begin_drain(self) -> None:
        self._drain_from = self.state
        self._drain_since = asyncio.get_running_loop().time()
        self.state = State.DRAINING

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        was_ready = self._drain_from is State.READY
        latest = self._drain_since + DRAIN_TIMEOUT
        while self.in_flight and self.state is State.DRAINING:
            self.cut_late_leases(self._drain_since)
            await self._wait_until(loop.time() + DRAIN_RECHECK)
        if was_ready and await self._all_running() is False:
            self.state = State.STOPPED
            return
        busy = await self.stack.busy() if was_ready else 0
        if self.state is not State.DRAINING:  # a request cancelled the drain in the meantime
            self._stops.cancel()
        elif busy == 0 or (busy is None and self._stops.by_operator and loop.time() > latest):
            self.state = State.STOPPING
        elif self._stops.by_operator:
            await asyncio.sleep(DRAIN_RECHECK)
        else:
            jobs = "it does not say how many jobs run" if busy is None else f"{busy} jobs run"
            self._record(self.settings.host, "postponed", f"idle, but not stopped: {jobs}", None)
            self.last_used = loop.time()
            self.state = self._drain_from
            self._stops.cancel()

    async def _stop(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reason = self._stops.reason
        try:
            await self.stack.stop()
        except StopFailed as failure:
            self._record(self.settings.host, "stop_failed", f"could not be stopped: {failure}", None)
            self.last_used = loop.time()
            self.state = State.STARTING if self._drain_from is State.READY else self._drain_from
            self._stops.fail(failure)
        else:
            self.state = State.STOPPED
            self.running_containers = 0
            self._record(self.settings.host, "stopped", f"stopped ({reason})", loop.time() - began)
            self._stops.finish(stopped=True)
        self._check_due = True

    # Helpers

    def _not_ready_within(self, timeout: float) -> RequestError:
        if self.state in {State.DRAINING, State.STOPPING}:
            message = f"{self.settings.name} is being stopped, which takes more than {timeout:g} s. Try again later."
            return Stopping(message, retry_after=RETRY_LATER)
        message = f"{self.settings.name} was not ready within {timeout:g} s; the start goes on."
        return StartTimeout(message, retry_after=RETRY_LATER)

    def _failure_during_backoff(self) -> StartFailed | None:
        wait = self._backoff.remaining(asyncio.get_running_loop().time())
        if self.state is not State.FAILED or self._failure is None or not wait:
            return None
        return type(self._failure)(self._failure.message, retry_after=wait)

    async def _all_running(self) -> bool | None:
        """Count the running containers if a check is due; None if it is not, or the engine does not respond."""
        if not self._check_due:
            return None
        self._check_due = False
        try:
            self.running_containers, total = await self.stack.running()
        except EngineUnavailable:
            return None  # keep the last known count until `engine_returned`
        return self.running_containers == total

    async def _wait_until(self, deadline: float | None) -> None:
        if deadline is None:
            await self._changed.wait()
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return
        self._changed.clear()


def _earliest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
