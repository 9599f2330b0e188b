"""Thousands of random schedules of one service's life, on a virtual clock and with a stack without Docker.

Rules are what can happen from outside; the invariants are asserted by the stack whenever it is used, by every client
when it ends, and by `Life` after every step.
"""

import asyncio
import os
from dataclasses import replace

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from docker_autostart.errors import Asleep, StartFailed, StartTimeout, Stopping
from docker_autostart.leases import DRAIN_TIMEOUT, UPLOAD_PATIENCE, Lease
from docker_autostart.service import DRAIN_RECHECK, Service, State
from docker_autostart.stopping import StopFailed
from tests.unit.autostart.fake_stack import FakeStack, settings
from tests.unit.autostart.virtual_time import VirtualTimeLoop

# Six milliseconds of processor time each. `make test-unit SCHEDULES=10000` takes a minute of it.
SCHEDULES = int(os.environ.get("SCHEDULES", "2000"))
STEPS = 12
ROUNDING = 0.001


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.loop.set_exception_handler(self._note_exception)
        self.stack = FakeStack()
        self.clients: set[asyncio.Task[None]] = set()
        self.leases = 0
        self.keeping_leases = 0
        self.stack.in_use = lambda: self.leases
        self.quiet_since = self.loop.time()
        self.faults: list[str] = []
        self.crashed = asyncio.Event()
        self.operators: set[asyncio.Task[None]] = set()
        self.loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        self.service = Service(settings(idleTimeout=20, startTimeout=10), self.stack, self._record)
        self.owner = asyncio.create_task(self.service.run())

    def _note_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.faults.append(str(context))

    def _record(self, host: str, _kind: str, _message: str, _seconds: float | None) -> None:
        assert host == "whisper.example.com"
        self.quiet_since = self.loop.time()

    # What can happen

    @rule(
        stays=st.sampled_from((0.0, 0.4, 5.0, 45.0, 1000.0)),
        wake=st.sampled_from((True, True, True, False)),
        uploads=st.booleans(),
    )
    def request(self, stays: float, wake: bool, uploads: bool) -> None:
        task = self.loop.create_task(self._request(stays, wake, uploads))
        self.clients.add(task)
        self.loop.pass_time(0)

    @rule(count=st.integers(2, 8))
    def many_requests(self, count: int) -> None:
        for _ in range(count):
            self.clients.add(self.loop.create_task(self._request(1.0, True, False)))
        self.loop.pass_time(0)

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 1000))
    def client_leaves(self, which: int) -> None:
        sorted(self.clients, key=lambda task: task.get_name())[which % len(self.clients)].cancel()
        self.loop.pass_time(0)

    @rule(seconds=st.sampled_from((0.05, 0.9, 3.0, 9.9, 20.5, 61.0)))
    def time_passes(self, seconds: float) -> None:
        self.loop.pass_time(seconds)
        assert self.service.in_flight == self.leases

    @rule(takes=st.sampled_from((0.0, 1.0, 8.0, 15.0, 700.0)), failure=st.sampled_from((None, None, "exited with 1")))
    def starts_change(self, takes: float, failure: str | None) -> None:
        self.stack.start_takes = takes
        self.stack.start_failure = failure

    @rule(fails=st.booleans(), takes=st.sampled_from((0.0, 0.5, 30.0)), check=st.sampled_from((0.0, 0.3)))
    def stops_change(self, fails: bool, takes: float, check: float) -> None:
        self.stack.stop_fails = fails
        self.stack.stop_takes = takes
        self.stack.busy_takes = check
        self._not_quiet()

    @rule(jobs=st.sampled_from((0, 0, 2, None)))
    def jobs_run(self, jobs: int | None) -> None:
        if self.service.state is State.READY or not jobs:
            self.stack.jobs = jobs
            self._not_quiet()

    @rule(seen=st.booleans())
    def container_crashes(self, seen: bool) -> None:
        if self.stack.engine_answers:
            self.stack.up = 0
            self.stack.jobs = 0
            self._break_connections()
            if seen:
                self.service.request_check()
            self.loop.pass_time(0)
            self._not_quiet()

    @rule()
    def started_from_outside(self) -> None:
        if self.stack.engine_answers and self.service.state in {State.STOPPED, State.FAILED, State.READY}:
            self.stack.up = 1
            self.service.request_check()
            self.loop.pass_time(0)

    @rule(answers=st.booleans())
    def engine(self, answers: bool) -> None:
        returned = answers and not self.stack.engine_answers
        self.stack.engine_answers = answers
        if returned:
            self.service.engine_returned()
        self._not_quiet()
        self.loop.pass_time(0)

    @rule(forced=st.booleans())
    def stop_is_wanted(self, forced: bool) -> None:
        self.operators.add(self.loop.create_task(self._stop(forced)))
        self.loop.pass_time(0)

    @rule(pinned=st.booleans())
    def pin(self, pinned: bool) -> None:
        self.service.pin(pinned)

    @rule(idle=st.sampled_from((0, 5, 20)), start=st.sampled_from((1, 10, 60)))
    def reload(self, idle: float, start: float) -> None:
        self.service.reconfigure(replace(self.service.settings, idle_timeout=idle, start_timeout=start))
        self._not_quiet()

    # What must hold

    @invariant()
    def holds(self) -> None:
        self.no_fault()
        if self.service.state is State.FAILED:
            assert not self.service.waiting, "a failed start left waiters behind"
        if (
            self.service.state is State.READY
            and self.service.settings.idle_timeout
            and not self.service.clock.pinned
            and not self.keeping_leases
            and self.stack.jobs == 0
        ):
            idle_for = self.loop.time() - self.quiet_since
            assert idle_for <= self.service.settings.idle_timeout + 1 + ROUNDING, "idle, and not stopped"

    def no_fault(self) -> None:
        assert not self.faults
        if self.owner.done():
            self.owner.result()
        for finished in [task for task in self.clients | self.operators if task.done()]:
            self.clients.discard(finished)
            self.operators.discard(finished)
            if not finished.cancelled():
                finished.result()

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            left = {self.owner, *self.clients, *self.operators}
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left))
            self.loop.close()

    def _settle(self) -> None:
        """Whatever happened before, all requests end and a service that nobody asks for is asleep in the end."""
        self.stack.engine_answers = True
        self.stack.stop_fails = False
        self.stack.jobs = 0
        self.service.pin(False)
        self.service.engine_returned()
        self.service.reconfigure(replace(self.service.settings, idle_timeout=5))
        # The longest lease, a start that is given up, a stop that failed once, and the idle time after each.
        self.loop.pass_time(2000)
        self.no_fault()
        assert not self.clients
        assert not self.operators
        assert self.service.waiting == self.service.in_flight == 0
        assert self.stack.up == 0

    # The clients

    async def _request(self, stays: float, wake: bool, uploads: bool) -> None:
        for attempt in (1, 2):
            # A reload between the attempts may have changed it.
            patience = self.service.settings.start_timeout
            began = self.loop.time()
            try:
                lease = await self.service.acquire(wake=wake)
            except (StartTimeout, Stopping):
                assert abs(self.loop.time() - began - patience) < ROUNDING
                return
            except Asleep:
                assert not wake
                return
            except StartFailed as failure:
                self._check_retry(failure)
                return
            finally:
                assert self.loop.time() - began <= patience + ROUNDING, "held beyond its deadline"
            self.leases += 1
            self.keeping_leases += wake
            refused = not self.stack.up
            entered = self.loop.time()
            lease.waits_since = lambda: entered if uploads else None  # noqa: B023  # at once or at the next attempt
            try:
                if not refused:
                    await self._use_container(stays, lease)
            finally:
                self.leases -= 1
                self.keeping_leases -= wake
                if wake:
                    self._not_quiet()
                if refused:
                    self.service.report_connection_refused(lease)
                self.service.release(lease)
            if not refused or attempt == 2:
                return

    def _check_retry(self, failure: StartFailed) -> None:
        assert failure.retry_after is not None
        assert 0 < failure.retry_after <= 60

    async def _use_container(self, stays: float, lease: Lease) -> None:
        """Until the answer, the container's end, or a stop that does not wait any longer, whichever comes first."""
        try:
            async with asyncio.timeout(None) as limit, asyncio.timeout(stays):
                lease.limit = limit
                await self.crashed.wait()
        except TimeoutError:
            if limit.expired():
                self._check_cut(lease)

    def _check_cut(self, lease: Lease) -> None:
        patience = DRAIN_TIMEOUT if lease.keeps_running and lease.waits_since() is None else UPLOAD_PATIENCE
        draining = self.loop.time() - self.service._drain_since
        assert self.service.state is State.DRAINING
        assert patience - ROUNDING <= draining <= patience + DRAIN_RECHECK + ROUNDING

    async def _stop(self, forced: bool) -> None:
        try:
            stopped = await self.service.stop("operator" if forced else "memory", by_operator=forced)
        except StopFailed:
            return
        assert isinstance(stopped, bool)

    def _break_connections(self) -> None:
        self.crashed.set()
        self.crashed = asyncio.Event()

    def _not_quiet(self) -> None:
        self.quiet_since = self.loop.time()


def test_invariants_hold_in_random_schedules() -> None:
    run_state_machine_as_test(
        Life,
        settings=hypothesis_settings(
            max_examples=SCHEDULES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
