"""One service's life, case by case, on a virtual clock and with a stack without Docker."""

import asyncio

import pytest

from docker_autostart.errors import StartFailed, StartTimeout
from docker_autostart.service import State
from tests.unit.autostart.life import Life, run


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
