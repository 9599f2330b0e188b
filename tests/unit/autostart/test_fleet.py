"""Services together, on a virtual clock, with stacks without Docker: memory, limits, reloads."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from docker_autostart.configuration import Configuration, ServiceSettings, parse_configuration
from docker_autostart.errors import ServiceRemoved, StartTimeout, TooManyWaiting, UnknownHost
from docker_autostart.fleet import Fleet, Remembered
from docker_autostart.service import State
from tests.unit.autostart.fake_stack import FakeStack
from tests.unit.autostart.virtual_time import VirtualTimeLoop


def configuration(*hosts: str, budget: int | None = None, **changes: object) -> Configuration:
    services = {
        host: {
            "composeDir": f"/opt/{host}",
            "proxyPort": 8000 + number,
            "containers": [f"{host}-1"],
            "memoryMb": 1000,
            "idleTimeout": 60,
            "startTimeout": 10,
            **changes,
        }
        for number, host in enumerate(hosts)
    }
    document: dict[str, object] = {"services": services}
    if budget is not None:
        document["memoryBudgetMb"] = budget
    return parse_configuration(json.dumps(document))


class Yard:
    def __init__(self, chosen: Configuration, remembered: dict[str, Remembered] | None = None, up: int = 0) -> None:
        self.stacks: dict[str, FakeStack] = {}
        self.events: list[tuple[str, str]] = []
        self._up = up
        self.fleet = Fleet(chosen, self.make_stack, lambda host, kind, *_: self.events.append((host, kind)), remembered)

    def make_stack(self, settings: ServiceSettings) -> FakeStack:
        stack = self.stacks.setdefault(settings.host, FakeStack())
        stack.up = max(stack.up, self._up)
        stack.in_use = lambda: self.fleet.services[settings.host].in_flight
        return stack

    async def use(self, host: str, seconds: float = 1.0) -> None:
        service = self.fleet.find(host)
        lease = service.try_acquire() or await self.fleet.wait_for_start(service)
        await asyncio.sleep(seconds)
        service.release(lease)

    def states(self) -> dict[str, State]:
        return {host: service.state for host, service in self.fleet.services.items()}


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(scenario(), 100_000))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_the_least_recently_used_idle_service_gives_its_memory() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b", "c", budget=2000))
        await yard.use("a")
        await yard.use("b")
        await yard.use("a")
        await yard.use("c")
        assert yard.states() == {"a": State.READY, "b": State.STOPPED, "c": State.READY}
        assert [stack.stops for stack in yard.stacks.values()] == [0, 1, 0]

    run(scenario)


def test_a_service_in_use_or_with_jobs_or_held_awake_keeps_its_memory() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b", "c", "d", budget=3000))
        await yard.use("b")
        yard.stacks["b"].jobs = 2
        await yard.use("c")
        yard.fleet.find("c").pin(True)
        using = asyncio.create_task(yard.use("a", seconds=30))
        await asyncio.sleep(2)
        with pytest.raises(StartTimeout):
            await yard.use("d")
        assert yard.stacks["d"].starts == 0
        await using
        await yard.use("d")
        assert yard.states() == {"a": State.STOPPED, "b": State.READY, "c": State.READY, "d": State.READY}

    run(scenario)


def test_a_monitor_that_does_not_end_keeps_no_memory() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b", budget=1000, startTimeout=30))
        await yard.use("a")
        monitored = yard.fleet.find("a")

        async def monitor() -> None:
            lease = monitored.try_acquire(wake=False)
            assert lease is not None
            try:
                async with asyncio.timeout(None) as lease.limit:
                    await asyncio.sleep(1_000_000)
            finally:
                monitored.release(lease)

        endless = asyncio.create_task(monitor())
        await asyncio.sleep(1)
        await yard.use("b")
        assert yard.states() == {"a": State.STOPPED, "b": State.READY}
        with pytest.raises(TimeoutError):
            await endless

    run(scenario)


def test_a_start_that_nobody_waits_for_takes_no_memory_later() -> None:
    """Browsers do not wait where `blocking` is false, but ask again. Nobody is evicted for one that stopped asking."""

    async def scenario() -> None:
        yard = Yard(configuration("a", "b", budget=1000))
        using = asyncio.create_task(yard.use("a", 100))
        await asyncio.sleep(2)
        yard.fleet.find("b").request_start()
        await using
        await asyncio.sleep(30)
        assert yard.states() == {"a": State.READY, "b": State.STOPPED}
        assert yard.stacks["b"].starts == 0

    run(scenario)


def test_two_starts_do_not_take_the_same_memory() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b", budget=1000))
        most = 0

        async def count() -> None:
            nonlocal most
            while True:
                most = max(most, sum(stack.up or stack.starts > stack.stops for stack in yard.stacks.values()))
                await asyncio.sleep(0.1)

        counting = asyncio.create_task(count())
        await asyncio.gather(yard.use("a", 2), yard.use("b", 2))
        counting.cancel()
        assert [stack.starts for stack in yard.stacks.values()] == [1, 1]
        assert most == 1

    run(scenario)


def test_nobody_waits_for_memory_after_the_last_client_left() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b", budget=1000))
        using = asyncio.create_task(yard.use("a", 100))
        await asyncio.sleep(2)
        with pytest.raises(StartTimeout):
            await yard.use("b")
        await asyncio.sleep(1)
        assert yard.states()["b"] is State.STOPPED
        await using

    run(scenario)


def test_no_more_than_256_requests_are_held_in_all() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b", "c"))
        results = await asyncio.gather(
            *(yard.use(host) for host in ("a", "b", "c") for _ in range(90)), return_exceptions=True
        )
        assert [type(result) for result in results].count(TooManyWaiting) == 3 * 90 - 256
        assert results.count(None) == 256

    run(scenario)


def test_reload_keeps_what_runs_and_what_waits_where_the_stack_is_the_same() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b"))
        yard.stacks["a"].start_takes = 5
        waiting = asyncio.create_task(yard.use("a"))
        using = asyncio.create_task(yard.use("b", 20))
        await asyncio.sleep(2)
        await yard.fleet.apply(configuration("a", "b", idleTimeout=5))
        await waiting
        await using
        assert [stack.starts for stack in yard.stacks.values()] == [1, 1]
        await asyncio.sleep(7)
        assert set(yard.states().values()) == {State.STOPPED}

    run(scenario)


def test_reload_withdraws_a_service_and_leaves_its_containers() -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b"))
        yard.stacks["a"].start_takes = 5
        waiting = asyncio.create_task(yard.use("a"))
        using = asyncio.create_task(yard.use("b", 20))
        await asyncio.sleep(2)
        service = yard.fleet.find("b")
        await yard.fleet.apply(configuration("c"))
        with pytest.raises(ServiceRemoved):
            await waiting
        with pytest.raises(UnknownHost):
            yard.fleet.find("a")
        assert service.in_flight == 1
        await using
        assert service.in_flight == 0
        assert (yard.stacks["b"].stops, yard.stacks["b"].up) == (0, 1)

    run(scenario)


def test_adopts_what_runs_with_the_clock_of_the_previous_process() -> None:
    async def scenario() -> None:
        now = asyncio.get_running_loop().time()
        yard = Yard(configuration("a", "b"), {"a": Remembered(last_used=now - 50), "b": Remembered(now, True)}, up=1)
        await asyncio.sleep(9)
        assert yard.states() == {"a": State.READY, "b": State.READY}
        await asyncio.sleep(3)
        assert yard.states() == {"a": State.STOPPED, "b": State.READY}
        await asyncio.sleep(1000)
        assert yard.states()["b"] is State.READY, "it was held awake"
        assert [stack.starts for stack in yard.stacks.values()] == [1, 1]

    run(scenario)


def test_a_clock_that_ran_out_while_the_daemon_was_away_does_not_stop_a_service_started_later() -> None:
    async def scenario() -> None:
        now = asyncio.get_running_loop().time()
        yard = Yard(configuration("a"), {"a": Remembered(last_used=now - 500)})
        await asyncio.sleep(1)
        yard.fleet.find("a").request_start()
        await asyncio.sleep(30)
        assert yard.states()["a"] is State.READY

    run(scenario)
