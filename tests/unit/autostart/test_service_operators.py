"""What operators, monitors and the engine's absence do to a service, on a virtual clock."""

import asyncio
from dataclasses import replace

import pytest

from docker_autostart.errors import Asleep, EngineUnavailable, StartFailed, Stopping
from docker_autostart.leases import DRAIN_TIMEOUT, UPLOAD_PATIENCE
from docker_autostart.service import DRAIN_RECHECK, State
from docker_autostart.stopping import StopFailed
from tests.unit.autostart.life import Life, run


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
