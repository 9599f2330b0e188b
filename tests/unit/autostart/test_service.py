"""One service's life, case by case, on a virtual clock and with a stack without Docker."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from docker_autostart.errors import Asleep, EngineUnavailable, StartFailed, StartTimeout, Stopping
from docker_autostart.leases import DRAIN_TIMEOUT, UPLOAD_PATIENCE
from docker_autostart.service import DRAIN_RECHECK, Service, State
from docker_autostart.stopping import StopFailed
from tests.unit.autostart.fake_stack import FakeStack, settings
from tests.unit.autostart.virtual_time import VirtualTimeLoop


class Life:
    def __init__(self, **changes: object) -> None:
        self.stack = FakeStack()
        self.log: list[tuple[str, float]] = []
        self.began = self.now
        chosen = {"idleTimeout": 20, "startTimeout": 10, **changes}
        self.service = Service(settings(**chosen), self.stack, self._record)
        self.stack.in_use = lambda: self.service.in_flight
        self.owner = asyncio.create_task(self.service.run())

    def _record(self, _: str, kind: str, __: str, ___: float | None) -> None:
        self.log.append((kind, round(self.now - self.began, 2)))

    def is_in(self, state: State) -> bool:
        return self.service.state is state

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def use(
        self, seconds: float = 1.0, *, upload: float = 0.0, piece: float = math.inf, wake: bool = True
    ) -> None:
        """Send for `upload` seconds, a piece each `piece` seconds, then wait for the answer for `seconds`.

        Raises TimeoutError where it is cut.
        """
        lease = await self.service.acquire(wake=wake)
        began = self.now

        def waits_since() -> float | None:
            return self.now - (self.now - began) % piece if self.now < began + upload else None

        lease.waits_since = waits_since
        try:
            async with asyncio.timeout(None) as lease.limit:
                await asyncio.sleep(upload + seconds)
        finally:
            self.service.release(lease)

    async def stop_takes(self) -> float:
        """Seconds that an operator's stop takes. Raises TimeoutError for one that takes hours."""
        began = self.now
        async with asyncio.timeout(7200):
            assert await self.service.stop("operator", by_operator=True)
        return self.now - began

    def when(self, kind: str) -> list[float]:
        return [time for each, time in self.log if each == kind]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(scenario())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_the_idle_clock_starts_at_the_end_of_the_last_request() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use(100)
        await asyncio.sleep(30)
        assert life.when("ready") == [1]
        assert life.when("stopped") == [1 + 100 + 20 + 0.5]

    run(scenario)


def test_idle_timeout_of_zero_means_never() -> None:
    async def scenario() -> None:
        life = Life(idleTimeout=0)
        await life.use()
        await asyncio.sleep(10_000_000)
        assert life.is_in(State.READY)

    run(scenario)


def test_a_request_during_the_stop_waits_for_it_then_starts() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.stop_takes = 5
        await asyncio.sleep(21)
        assert life.is_in(State.STOPPING)
        await life.use()
        assert (life.stack.starts, life.stack.stops) == (2, 1)

    run(scenario)


def test_a_request_during_the_busy_check_calls_the_stop_off() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.busy_takes = 2
        await asyncio.sleep(21)
        assert life.is_in(State.DRAINING)
        began = life.now
        lease = await life.service.acquire()
        assert life.now == began
        await asyncio.sleep(3)
        life.service.release(lease)
        assert (life.stack.starts, life.stack.stops) == (1, 0)

    run(scenario)


@pytest.mark.parametrize("jobs", [3, None])
def test_jobs_and_not_knowing_of_jobs_postpone_the_stop(jobs: int | None) -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.jobs = jobs
        await asyncio.sleep(90)
        assert life.stack.stops == 0
        assert len(life.when("postponed")) == 4
        life.stack.jobs = 0
        await asyncio.sleep(21)
        assert life.stack.stops == 1

    run(scenario)


def test_back_off_doubles_then_the_breaker_opens_for_a_minute() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.start_takes = 0
        life.stack.start_failure = "its container exited."
        waits = []
        for _ in range(7):
            with pytest.raises(StartFailed) as failed:
                await life.service.acquire()
            assert failed.value.retry_after is not None
            waits.append(failed.value.retry_after)
            await asyncio.sleep(failed.value.retry_after)
        assert waits == [1, 2, 4, 8, 60, 60, 60]
        assert life.stack.starts == 7
        life.stack.start_failure = None
        await life.use()
        assert life.is_in(State.READY)

    run(scenario)


def test_back_off_is_at_most_a_minute_and_told_as_what_is_left() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.start_failure = "its container exited."
        for _ in range(12):  # far apart, so that the breaker stays closed
            with pytest.raises(StartFailed) as failed:
                await life.service.acquire()
            await asyncio.sleep(200)
        assert failed.value.retry_after == 60
        with pytest.raises(StartFailed):
            await life.service.acquire()
        await asyncio.sleep(20)
        with pytest.raises(StartFailed) as failed:
            await life.service.acquire()
        assert failed.value.retry_after == pytest.approx(40, abs=1.1)

    run(scenario)


def test_an_operator_s_start_does_not_wait_for_the_back_off() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.start_failure = "its container exited."
        for _ in range(3):
            with pytest.raises(StartFailed):
                await life.service.start_and_acquire()
        assert life.stack.starts == 3

    run(scenario)


def test_the_deadline_is_each_request_s_own_and_the_start_goes_on() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.start_takes = 14
        first = asyncio.create_task(life.use())
        await asyncio.sleep(6)
        second = asyncio.create_task(life.use())
        with pytest.raises(StartTimeout):
            await first
        assert life.now - life.began == pytest.approx(10)
        await second
        assert life.stack.starts == 1

    run(scenario)


def test_a_start_is_given_up_after_ten_minutes_and_what_runs_of_it_is_stopped() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.start_takes = 10_000
        with pytest.raises(StartTimeout):
            await life.service.acquire()
        life.stack.total, life.stack.up = 2, 1  # one of two came up
        await asyncio.sleep(595)
        assert life.is_in(State.FAILED)
        assert life.service.running_containers == 1
        await asyncio.sleep(25)
        assert (life.stack.stops, life.stack.up) == (1, 0)
        assert life.is_in(State.STOPPED)

    run(scenario)


def test_what_others_start_is_adopted_and_stopped_when_idle() -> None:
    async def scenario() -> None:
        life = Life()
        await asyncio.sleep(100)
        life.stack.up = 1
        life.service.request_check()
        await asyncio.sleep(1)
        assert life.is_in(State.READY)
        await life.use()
        await asyncio.sleep(30)
        assert (life.stack.stops, life.stack.up) == (1, 0)

    run(scenario)


def test_what_others_stop_is_seen_and_started_again_for_the_next_request() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.up = 0
        life.service.request_check()
        await asyncio.sleep(0.1)
        assert life.is_in(State.STOPPED)
        await life.use()
        assert (life.stack.starts, life.stack.stops) == (2, 0)

    run(scenario)


def test_what_is_left_of_a_stack_is_stopped_when_nobody_asks() -> None:
    async def scenario() -> None:
        life = Life(containers=["faster-whisper", "cache"])
        life.stack.total = 2
        await life.use()
        life.stack.up = 1
        life.service.request_check()
        await asyncio.sleep(25)
        assert (life.stack.stops, life.stack.up) == (1, 0)

    run(scenario)


def test_a_stop_that_fails_leaves_the_service_in_use_and_is_tried_again() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.stop_fails = True
        await asyncio.sleep(21)
        await life.use()
        assert life.is_in(State.READY)
        life.stack.stop_fails = False
        await asyncio.sleep(25)
        assert life.is_in(State.STOPPED)
        assert life.stack.stops == 2

    run(scenario)


def test_an_operator_s_stop_waits_for_requests_and_jobs_and_holds_new_requests() -> None:
    async def scenario() -> None:
        life = Life()
        using = asyncio.create_task(life.use(8))
        await asyncio.sleep(2)
        life.stack.jobs = 1
        stopping = asyncio.create_task(life.service.stop("operator", by_operator=True))
        await asyncio.sleep(1)
        later = asyncio.create_task(life.use())
        await using
        await asyncio.sleep(0.4)
        assert life.stack.stops == 0
        life.stack.jobs = 0
        assert await stopping
        assert not life.stack.up
        await later
        assert life.stack.starts == 2

    run(scenario)


def test_an_operator_s_stop_ends_a_start() -> None:
    async def scenario() -> None:
        life = Life(startTimeout=100)
        life.stack.start_takes = 1000
        waiting = asyncio.create_task(life.use())
        await asyncio.sleep(5)
        life.stack.start_takes = 1
        assert await life.service.stop("operator", by_operator=True)
        await waiting  # it still wants an answer
        assert life.stack.starts == 2

    run(scenario)


def test_an_operator_s_stop_that_fails_says_so() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.stop_fails = True
        with pytest.raises(StopFailed):
            await life.service.stop("operator", by_operator=True)

    run(scenario)


ROUND = DRAIN_RECHECK + 0.5
"""One look and the stop itself, in seconds."""


def test_an_operator_s_stop_waits_ten_seconds_for_an_upload_to_go_on() -> None:
    async def scenario() -> None:
        life = Life(startTimeout=30)
        await life.use()
        trickle = asyncio.create_task(life.use(upload=1_000_000))
        short = asyncio.create_task(life.use(upload=UPLOAD_PATIENCE - 1))
        await asyncio.sleep(1)
        stopping = asyncio.create_task(life.stop_takes())
        await asyncio.sleep(1)
        await life.use()  # an honest request, which came meanwhile: the next start answers it
        assert UPLOAD_PATIENCE <= await stopping <= UPLOAD_PATIENCE + ROUND
        with pytest.raises(TimeoutError):
            await trickle
        await short
        assert life.stack.starts == 2

    run(scenario)


def test_an_operator_s_stop_waits_ten_minutes_for_requests_that_go_on() -> None:
    async def scenario() -> None:
        life = Life(startTimeout=30)
        await life.use()
        long = asyncio.create_task(life.use(599))
        steady = asyncio.create_task(life.use(100, upload=450, piece=UPLOAD_PATIENCE - 1))
        endless = asyncio.create_task(life.use(1_000_000))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(life.stop_takes())
        await asyncio.sleep(1)
        with pytest.raises(Stopping) as refused:
            await life.use()
        assert refused.value.retry_after == 5
        assert life.stack.starts == 1
        await long
        await steady
        assert DRAIN_TIMEOUT <= await stopping <= DRAIN_TIMEOUT + ROUND
        with pytest.raises(TimeoutError):
            await endless

    run(scenario)


def test_an_operator_s_stop_waits_for_jobs_as_long_as_they_take_but_not_for_a_container_that_does_not_say() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.jobs = 3
        stopping = asyncio.create_task(life.stop_takes())
        await asyncio.sleep(3 * DRAIN_TIMEOUT)
        life.stack.jobs = 0
        assert 3 * DRAIN_TIMEOUT <= await stopping <= 3 * DRAIN_TIMEOUT + ROUND
        await life.use()
        life.stack.jobs = None
        assert DRAIN_TIMEOUT <= await life.stop_takes() <= DRAIN_TIMEOUT + ROUND

    run(scenario)


def test_a_monitor_that_does_not_end_keeps_no_service_awake() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        monitor = asyncio.create_task(life.use(1_000_000, wake=False))
        await asyncio.sleep(20 + UPLOAD_PATIENCE + ROUND)
        assert life.is_in(State.STOPPED)
        with pytest.raises(TimeoutError):
            await monitor

    run(scenario)


def test_an_idle_service_is_not_stopped_under_a_request_however_long_it_takes() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use(3 * DRAIN_TIMEOUT, upload=3 * DRAIN_TIMEOUT)
        assert life.stack.stops == 0

    run(scenario)


def test_held_awake_a_service_is_not_stopped_until_it_is_released() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.service.pin(True)
        await asyncio.sleep(1000)
        assert life.is_in(State.READY)
        life.service.pin(False)
        await asyncio.sleep(1)
        assert life.is_in(State.STOPPED)

    run(scenario)


def test_a_monitor_can_tell_a_service_that_cannot_start_from_one_that_sleeps() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.start_failure = "out of memory"
        with pytest.raises(StartFailed):
            await life.use()
        for pause in (0, 120):  # the second time after the back-off: it would be started again, if anybody asked
            await asyncio.sleep(pause)
            with pytest.raises(StartFailed, match="out of memory"):
                await life.service.acquire(wake=False)
        assert life.stack.starts == 1
        life.stack.start_failure = None
        await life.use()
        await asyncio.sleep(30)
        with pytest.raises(Asleep):
            await life.service.acquire(wake=False)

    run(scenario)


def test_monitors_do_not_wake_do_not_keep_awake_and_do_not_get_cut_off() -> None:
    async def scenario() -> None:
        life = Life()
        with pytest.raises(Asleep):
            await life.service.acquire(wake=False)
        await life.use()

        async def monitor() -> None:
            while True:
                try:
                    lease = await life.service.acquire(wake=False)
                except Asleep:
                    return
                await asyncio.sleep(0.7)
                life.service.release(lease)

        monitoring = asyncio.create_task(monitor())
        await asyncio.sleep(23)
        assert life.is_in(State.STOPPED)
        assert life.when("stopped")[0] <= 2 + 20 + 0.7 + 0.5
        await monitoring

    run(scenario)


def test_the_engine_s_return_ends_the_back_off_that_its_absence_caused() -> None:
    async def scenario() -> None:
        life = Life()
        life.stack.engine_answers = False
        for _ in range(4):
            with pytest.raises(EngineUnavailable) as failed:
                await life.service.acquire()
            await asyncio.sleep(failed.value.retry_after or 0)
        with pytest.raises(EngineUnavailable):
            await life.service.acquire()
        life.stack.engine_answers = True
        life.service.engine_returned()
        await life.use()
        assert life.is_in(State.READY)

    run(scenario)


def test_while_the_engine_is_away_what_runs_is_served() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.engine_answers = False
        life.service.request_check()
        await life.use()
        assert life.stack.starts == 1

    run(scenario)


def test_many_that_are_refused_by_the_same_container_cause_one_look() -> None:
    async def scenario() -> None:
        life = Life()
        leases = [await life.service.acquire() for _ in range(5)]
        life.stack.up = 0
        for lease in leases:
            life.service.report_connection_refused(lease)
            life.service.release(lease)
        await life.use()
        for lease in leases:
            life.service.report_connection_refused(lease)  # late: about a container that is gone already
        assert life.is_in(State.READY)
        assert life.stack.starts == 2

    run(scenario)


def test_a_shorter_idle_timeout_holds_at_once() -> None:
    async def scenario() -> None:
        life = Life(idleTimeout=1000)
        await life.use()
        await asyncio.sleep(50)
        life.service.reconfigure(replace(life.service.settings, idle_timeout=20))
        await asyncio.sleep(1)
        assert life.is_in(State.STOPPED)

    run(scenario)


def test_who_comes_while_the_rest_of_a_failed_start_is_stopped_is_told_of_the_failure() -> None:
    async def scenario() -> None:
        life = Life()
        await life.use()
        life.stack.start_failure = "its container exited."
        life.stack.total = 2  # and one of two still runs
        life.service.request_check()
        await asyncio.sleep(0.01)
        with pytest.raises(StartFailed):
            await life.use()
        life.stack.stop_fails = True
        stopping = asyncio.create_task(life.service.stop("operator", by_operator=True))
        await asyncio.sleep(0.1)
        assert life.is_in(State.STOPPING)
        with pytest.raises(StartFailed) as failed:
            await life.service.acquire()
        assert failed.value.retry_after == pytest.approx(0.5)
        with pytest.raises(StopFailed):
            await stopping

    run(scenario)
