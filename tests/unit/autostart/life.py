"""One service on a virtual clock, with a stack without Docker."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from docker_autostart.service import Service, State
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
