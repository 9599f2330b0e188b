"""One service's life: asleep, starting, ready, draining, stopping, failed.

One task owns the state (`Service.run`), so that there is never more than one start or stop. Requests `enter` and
`leave`; while the service is ready that costs no switch of tasks. Time is the event loop's clock, in seconds. Nothing
here knows Docker or sockets: a `Stack` does what is to be done, and tests use another loop clock and another stack.
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
    StartFailed,
    StartTimeout,
    Stopping,
    Withdrawn,
)
from docker_autostart.events import Recorder
from docker_autostart.stopping import StopFailed, StopRequests
from docker_autostart.visits import DRAIN_TIMEOUT, Visit

START_LIMIT = LONGEST_START_TIMEOUT
"""A start goes on after its clients gave up, so that their next attempt finds it further; but not for ever."""

RETRY_LATER = 5.0
"""`Retry-After` where nothing better is known, in seconds."""
DRAIN_RECHECK = 1.0
"""How often requests and jobs are looked at while a stop waits for their end, in seconds."""


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


class NotWantedAnyMore(Exception):
    """There was no room for a start, and nobody waits for it any more."""


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
    """See the module. `held` counts requests that wait; `in_flight` those that were let through and have not ended."""

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
        """`make_room` returns when the stack may take its memory, or raises `NotWantedAnyMore`.

        `last_used` is loop time, from a previous process: it counts if the containers are found running.
        """
        self.settings = settings
        self.stack = stack
        self.state = State.STOPPED
        self.last_used = last_used
        self.pinned = pinned
        self.running_containers = 0
        self._record = record
        self._make_room = make_room
        self._clock_counts = last_used is not None
        self._requests = Admission(self._left)
        self._changed = asyncio.Event()
        self._look_due = True
        self._start_wanted = False
        self._stops = StopRequests()
        self._backoff = StartBackoff()
        self._failure: StartFailed | None = None
        self._drain_from = State.STOPPED
        self._drain_since = 0.0
        self._withdrawn = False

    # What requests do

    @property
    def held(self) -> int:
        return self._requests.waiting

    @property
    def in_flight(self) -> int:
        return self._requests.in_flight

    @property
    def idle(self) -> bool:
        """Ready, and neither asked for anything, but by monitors, nor told to stay."""
        return self.state is State.READY and not self.in_use and not self._requests.wanted and not self.pinned

    @property
    def in_use(self) -> bool:
        """Whether a request that keeps the service awake is in flight."""
        return self._requests.in_use

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a start."""
        return self._requests.wanted or self._start_wanted

    async def enter(self, *, wake: bool = True) -> Visit:
        """Let a request in, as soon as the service is ready; every `Visit` must be given back with `leave`.

        With `wake` false the request neither wakes the service nor keeps it awake, and gets `Asleep`, or `StartFailed`
        after a start that failed, however long ago. Raises `StartFailed` during the back-off, `Withdrawn`, and after
        `start_timeout` seconds `StartTimeout`, or `Stopping` during a stop.
        """
        visit = self.enter_at_once(wake=wake)
        if visit is not None:
            return visit
        self._changed.set()
        timeout = self.settings.start_timeout
        visit = await self._requests.wait(timeout)
        if visit is None:
            raise self._not_ready_within(timeout)
        return visit

    def enter_at_once(self, *, wake: bool = True) -> Visit | None:
        """`enter` where that need not wait, None where it would; raises what it would raise at once."""
        return self._requests.admit(wake) if self._is_ready_or_raise(wake) else None

    def _is_ready_or_raise(self, wake: bool) -> bool:
        if self._withdrawn:
            raise Withdrawn(f"{self.settings.name} is not served any more.")
        if self.state is State.DRAINING and wake and self._drain_from is State.READY and not self._stops.by_operator:
            self.state = State.READY
            self._changed.set()
        if self.state is State.READY:
            return True
        if not wake:
            if failing := self.failing:
                wait = self._backoff.remaining(asyncio.get_running_loop().time())
                raise type(failing)(failing.message, retry_after=max(wait, RETRY_LATER))
            raise Asleep(f"{self.settings.name} is asleep, and this kind of request does not wake it.")
        if failure := self._failure_not_to_be_repeated_yet():
            raise failure
        return False

    def wake(self) -> None:
        """Start without waiting. Raises `StartFailed` while a failed start is not to be repeated yet, `Withdrawn`."""
        if not self._is_ready_or_raise(wake=True):
            self._start_wanted = True
            self._changed.set()

    async def start_and_enter(self) -> Visit:
        """An operator's start: `enter`, back-off or not."""
        self._backoff.skip_pause()
        return await self.enter()

    def leave(self, visit: Visit) -> None:
        self._requests.leave(visit)

    def _left(self, visit: Visit) -> None:
        if visit.touch:
            self.last_used = asyncio.get_running_loop().time()
        if not self.in_flight and self.state is State.DRAINING:
            self._changed.set()

    def cut_late_visits(self, drain_since: float) -> None:
        """End the requests for which a stop that began at that loop time does not wait any longer."""
        self._requests.cut_late(drain_since, asyncio.get_running_loop().time())

    def distrust(self, visit: Visit) -> None:
        """The container refused this visit's connection: have it looked at and started before more are let in."""
        if visit.generation == self._requests.generation and self.state is State.READY:
            self._record(self.settings.host, "gone", "ready, but does not take connections: looking again", None)
            self.state = State.STARTING
            self._changed.set()

    # What operators, the engine and other services do

    def look(self) -> None:
        """Something happened to the containers."""
        self._look_due = True
        self._changed.set()

    def engine_returned(self) -> None:
        """The engine was away and is back: what failed on its account may be tried again at once."""
        if isinstance(self._failure, EngineUnavailable):
            self._backoff.reset()
        self.look()

    async def stop(self, reason: str, *, forced: bool) -> bool:
        """Stop when no request is in flight and no job runs; says whether it stopped.

        Forced, it waits for jobs without limit and for requests as long as `Visit` allows, and new requests wait for
        the stop; otherwise it gives up for either. Raises `StopFailed`.
        """
        before = self._stops.current
        request = self._stops.add(reason, by_operator=forced)
        if request is not before:
            self._start_wanted = False
            self._changed.set()
        return await asyncio.shield(request.outcome)

    def pin(self, pinned: bool) -> None:
        """Pinned, a service is not stopped for being idle, nor for another's memory."""
        self.pinned = pinned
        self._record(
            self.settings.host, "pinned" if pinned else "released", "held awake" if pinned else "released", None
        )
        self._changed.set()

    def reconfigure(self, settings: ServiceSettings) -> None:
        """New times and names for the same containers."""
        self.settings = settings
        self._changed.set()

    def withdraw(self) -> None:
        """No more requests; those in flight go on, those that wait get `Withdrawn`. The caller ends the owner task."""
        self._withdrawn = True
        self._requests.refuse_all(Withdrawn(f"{self.settings.name} is not served any more.", retry_after=RETRY_LATER))
        self._stops.finish(stopped=False)

    @property
    def failing(self) -> StartFailed | None:
        return self._failure if self.state is State.FAILED else None

    def idle_deadline(self) -> float | None:
        """Loop time at which an idle service is stopped; None for never.

        While a request that counts is in flight, the earliest time at which that could be.
        """
        if not self.settings.idle_timeout or self.pinned:
            return None
        if self.in_use or self.last_used is None:
            return asyncio.get_running_loop().time() + self.settings.idle_timeout
        return self.last_used + self.settings.idle_timeout

    # What the owner does

    async def run(self) -> None:
        """Own the service until cancelled."""
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
                self._clock_counts = False
            if self._stops.current is not None:
                if self.running_containers:
                    self._begin_drain()
                    return
                self._stops.finish(stopped=True)
            if all_running:
                self._record(self.settings.host, "adopted", "found running", None)
                if not self._clock_counts:
                    self.last_used = now
                self.state = State.STARTING
                return
            if failure := self._failure_not_to_be_repeated_yet():
                self._requests.refuse_all(failure)  # who came while what is left of the failed start was being stopped
            if self.wanted and not self._backoff.remaining(now):
                self._clock_counts = False
                self._record(self.settings.host, "starting", f"starting, {self.held} waiting", None)
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
        self._look_due = False
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
            self.look()
            return
        try:
            start.result()
        except NotWantedAnyMore:
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
        if not self._clock_counts:
            self.last_used = now
        self._clock_counts = False
        self.running_containers = len(self.settings.containers)
        message = f"ready after {now - began:.2f} s, {self.held} waiting"
        self._record(self.settings.host, "ready", message, now - began)
        self._requests.admit_all()
        self._look_due = True

    async def _fail(self, failure: StartFailed, now: float) -> None:
        pause = self._backoff.failed(now)
        self._failure = failure
        self._start_wanted = False
        self.state = State.FAILED
        self._record(self.settings.host, "failed", f"start failed: {failure.message} Next attempt in {pause:g} s", None)
        self._requests.refuse_all(type(failure)(failure.message, retry_after=pause))
        self.last_used = now
        # Only the count matters here: a stack that failed is not adopted before something happens to it.
        self._look_due = True
        await self._all_running()

    async def _serve(self) -> None:
        while True:
            all_running = await self._all_running()
            if self.state is not State.READY:  # distrusted
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
            self.cut_late_visits(self._drain_since)
            await self._wait_until(loop.time() + DRAIN_RECHECK)
        if was_ready and await self._all_running() is False:
            self.state = State.STOPPED
            return
        busy = await self.stack.busy() if was_ready else 0
        if self.state is not State.DRAINING:  # a request took it back meanwhile
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
        self._look_due = True

    # What these need

    def _not_ready_within(self, timeout: float) -> RequestError:
        if self.state in {State.DRAINING, State.STOPPING}:
            message = f"{self.settings.name} is being stopped, which takes more than {timeout:g} s. Try again later."
            return Stopping(message, retry_after=RETRY_LATER)
        message = f"{self.settings.name} was not ready within {timeout:g} s; the start goes on."
        return StartTimeout(message, retry_after=RETRY_LATER)

    def _failure_not_to_be_repeated_yet(self) -> StartFailed | None:
        wait = self._backoff.remaining(asyncio.get_running_loop().time())
        if self.state is not State.FAILED or self._failure is None or not wait:
            return None
        return type(self._failure)(self._failure.message, retry_after=wait)

    async def _all_running(self) -> bool | None:
        """Count the containers if that is due; None where it is not, or the engine does not say."""
        if not self._look_due:
            return None
        self._look_due = False
        try:
            self.running_containers, total = await self.stack.running()
        except EngineUnavailable:
            return None  # what was known stands, until `engine_returned`
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
