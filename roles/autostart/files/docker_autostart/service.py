"""The state machine of one service: stopped, starting, ready, draining, stopping, failed.

Only one task (`Service.run`) starts and stops containers, so that starts and stops never overlap; `try_acquire` and
`report_connection_refused` may set the state for it. Requests `acquire` and `release`, which needs no task switch while
the service is ready. Time is the event loop's clock, in seconds. Nothing here knows Docker or sockets: a `Stack`
performs the actions, and tests substitute a virtual clock and a fake stack.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from docker_autostart import refusals
from docker_autostart.admission import Admission
from docker_autostart.alarm import Alarm
from docker_autostart.backoff import StartBackoff, retry_in
from docker_autostart.configuration import ServiceSettings
from docker_autostart.containers import RunningContainers, Stack
from docker_autostart.errors import StartFailed
from docker_autostart.events import Recorder
from docker_autostart.idleness import IdleClock
from docker_autostart.leases import DRAIN_TIMEOUT, Lease
from docker_autostart.refusals import RETRY_LATER
from docker_autostart.starting import StartAbandoned, run_unless, start_within_limit
from docker_autostart.stopping import StopFailed, StopRequests

DRAIN_RECHECK = 1.0
"""Seconds between checks for requests and jobs while a stop waits for them to end."""


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


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
        self._record = record
        self._make_room = make_room
        self.clock = IdleClock(last_used, pinned=pinned)
        self._containers = RunningContainers()
        self._requests = Admission(self._left)
        self._changed = Alarm()
        self._start_wanted = False
        self._stops = StopRequests()
        self._backoff = StartBackoff()
        self._drain_from = State.STOPPED
        self._drain_since = 0.0
        self._removed = False

    # What others may know

    @property
    def running_containers(self) -> int:
        return self._containers.number

    @property
    def waiting(self) -> int:
        return self._requests.waiting

    @property
    def in_flight(self) -> int:
        return self._requests.in_flight

    @property
    def idle(self) -> bool:
        """Ready, with no requests but those of monitors, and not pinned."""
        return self.state is State.READY and not self.in_use and not self._requests.wanted and not self.clock.pinned

    @property
    def in_use(self) -> bool:
        """Whether a request that keeps the service running is in flight."""
        return self._requests.in_use

    @property
    def wanted(self) -> bool:
        """Whether a start was requested."""
        return self._requests.wanted or self._start_wanted

    @property
    def failing(self) -> StartFailed | None:
        return self._backoff.failure if self.state is State.FAILED else None

    def idle_deadline(self) -> float | None:
        """Loop time at which an idle service is stopped, the earliest possible while it is in use; None for never."""
        now = asyncio.get_running_loop().time()
        return self.clock.deadline(self.settings.idle_timeout, now, in_use=self.in_use)

    # Called for requests

    async def acquire(self, *, wake: bool = True) -> Lease:
        """Admit a request as soon as the service is ready: `try_acquire`, and `wait_for_start` if that returns None."""
        return self.try_acquire(wake=wake) or await self.wait_for_start()

    def try_acquire(self, *, wake: bool = True) -> Lease | None:
        """Admit a request if the service is ready; None if it is not, and a request may start it.

        Every `Lease` must be returned with `release`. With `wake` false a request neither starts the service nor keeps
        it running, and gets `Asleep`, or `StartFailed` after a start that failed, however long ago. Raises
        `StartFailed` during the back-off too, and `ServiceRemoved`.
        """
        return self._requests.admit(wake) if self._is_ready_or_raise(wake) else None

    async def wait_for_start(self) -> Lease:
        """After `try_acquire` returned None: start the service, and admit the request when it is ready.

        Raises `StartFailed`, `ServiceRemoved`, and after `start_timeout` seconds `StartTimeout`, or `Stopping` during
        a stop.
        """
        self._changed.set()
        timeout = self.settings.start_timeout
        lease = await self._requests.wait(timeout)
        if lease is None:
            stopping = self.state in {State.DRAINING, State.STOPPING}
            raise (refusals.stop_takes_longer if stopping else refusals.not_ready_within)(self.settings.name, timeout)
        return lease

    def request_start(self) -> None:
        """After `try_acquire` returned None: start the service without waiting for it."""
        self._start_wanted = True
        self._changed.set()

    def _is_ready_or_raise(self, wake: bool) -> bool:
        now = asyncio.get_running_loop().time()
        if self._removed:
            raise refusals.removed(self.settings.name)
        if self.state is State.DRAINING and wake and self._drain_from is State.READY and not self._stops.by_operator:
            self.state = State.READY
            self._changed.set()
        if self.state is State.READY:
            return True
        if not wake:
            if failing := self.failing:
                raise retry_in(failing, max(self._backoff.remaining(now), RETRY_LATER))
            raise refusals.asleep(self.settings.name)
        if failure := self._failure_during_backoff(now):
            raise failure
        return False

    async def start_and_acquire(self) -> Lease:
        """An operator's start: `acquire` that ignores the back-off."""
        self._backoff.skip_pause()
        return await self.acquire()

    def release(self, lease: Lease) -> None:
        self._requests.release(lease)

    def _left(self, lease: Lease) -> None:
        if lease.keeps_running:
            self.clock.used(asyncio.get_running_loop().time())
        if not self.in_flight and self.state is State.DRAINING:
            self._changed.set()

    def cut_late_leases(self, drain_since: float) -> None:
        """End the requests that a stop, begun at that loop time, no longer waits for."""
        self._requests.cut_late(drain_since, asyncio.get_running_loop().time())

    def report_connection_refused(self, lease: Lease) -> None:
        """The container refused a connection: check and start it before more requests are admitted."""
        if lease.generation == self._requests.generation and self.state is State.READY:
            self._note("gone", "marked ready, but refuses connections: checking again")
            self.state = State.STARTING
            self._changed.set()

    # Called for operators, the engine and other services

    def request_check(self) -> None:
        """The containers may have changed."""
        self._containers.check_due = True
        self._changed.set()

    def engine_returned(self) -> None:
        """The engine is back: failures caused by the outage may be retried immediately."""
        self._backoff.engine_returned()
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
        self.clock.pinned = pinned
        self._note("pinned" if pinned else "released", "held awake" if pinned else "released")
        self._changed.set()

    def reconfigure(self, settings: ServiceSettings) -> None:
        """Apply new settings for the same containers."""
        self.settings = settings
        self._changed.set()

    def remove(self) -> None:
        """Admit no more requests; those in flight continue, those that wait get `ServiceRemoved`."""
        self._removed = True
        self._requests.refuse_all(refusals.removed(self.settings.name))
        self._stops.finish(stopped=False)

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
            all_running = await self._containers.are_complete(self.stack)
            now = asyncio.get_running_loop().time()
            if all_running is False:
                self.clock.forget_previous_process()
            if self._stops.current is not None:
                if self.running_containers:
                    self._begin_drain()
                    return
                self._stops.finish(stopped=True)
            if all_running:
                self._note("adopted", "found running")
                self.clock.found_running(now)
                self.state = State.STARTING
                return
            if failure := self._failure_during_backoff(now):
                self._requests.refuse_all(failure)  # those that arrived while a failed start was being cleaned up
            if self.wanted and not self._backoff.remaining(now):
                self.clock.forget_previous_process()
                self._note("starting", f"starting, {self.waiting} waiting")
                self.state = State.STARTING
                return
            leftovers = self.idle_deadline() if self.running_containers else None
            if leftovers is not None and now >= leftovers:
                self._begin_drain()
                return
            await self._changed.wait_until(leftovers, self._backoff.retry_at if self.wanted else None)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._containers.check_due = False
        steps = start_within_limit(self.settings.name, self._start_stack)
        start = await run_unless(steps, self._changed, lambda: self._stops.by_operator)
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
        if self._make_room is not None:
            await self._make_room(self)
        await self.stack.start()

    def _ready(self, began: float, now: float) -> None:
        self.state = State.READY
        self._requests.generation += 1
        self._backoff.succeeded()
        self._start_wanted = False
        self.clock.started(now)
        self._containers.number = len(self.settings.containers)
        message = f"ready after {now - began:.2f} s, {self.waiting} waiting"
        self._note("ready", message, now - began)
        self._requests.admit_all()
        self._containers.check_due = True

    async def _fail(self, failure: StartFailed, now: float) -> None:
        pause = self._backoff.failed(failure, now)
        self._start_wanted = False
        self.state = State.FAILED
        self._note("failed", f"start failed: {failure.message} Next attempt in {pause:g} s")
        self._requests.refuse_all(retry_in(failure, pause))
        self.clock.used(now)
        # Only the number matters: a failed stack is not adopted until an event arrives for it.
        self._containers.check_due = True
        await self._containers.are_complete(self.stack)

    async def _serve(self) -> None:
        while True:
            all_running = await self._containers.are_complete(self.stack)
            if self.state is not State.READY:  # a connection was refused
                return
            if all_running is False:
                left = f", {self.running_containers} of its containers still run" if self.running_containers else ""
                self._note("gone", f"stopped from outside{left}")
                self.state = State.STOPPED
                return
            if self.in_use:
                self._stops.cancel()
            deadline = self.idle_deadline()
            now = asyncio.get_running_loop().time()
            if self._stops.current is not None or (deadline is not None and now >= deadline):
                self._begin_drain()
                return
            await self._changed.wait_until(deadline)

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
            await self._changed.wait_until(loop.time() + DRAIN_RECHECK)
        if was_ready and await self._containers.are_complete(self.stack) is False:
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
            self._note("postponed", f"idle, but not stopped: {jobs}")
            self.clock.used(loop.time())
            self.state = self._drain_from
            self._stops.cancel()

    async def _stop(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reason = self._stops.reason
        try:
            await self.stack.stop()
        except StopFailed as failure:
            self._note("stop_failed", f"could not be stopped: {failure}")
            self.clock.used(loop.time())
            self.state = State.STARTING if self._drain_from is State.READY else self._drain_from
            self._stops.fail(failure)
        else:
            self.state = State.STOPPED
            self._containers.number = 0
            self._note("stopped", f"stopped ({reason})", loop.time() - began)
            self._stops.finish(stopped=True)
        self._containers.check_due = True

    # Helpers

    def _note(self, kind: str, message: str, seconds: float | None = None) -> None:
        self._record(self.settings.host, kind, message, seconds)

    def _failure_during_backoff(self, now: float) -> StartFailed | None:
        failing = self.failing
        wait = self._backoff.remaining(now)
        return None if failing is None or not wait else retry_in(failing, wait)
