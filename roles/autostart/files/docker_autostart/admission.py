"""The requests of one service: those that it has let in, and those that wait until it is ready."""

import asyncio
from collections.abc import Callable

from docker_autostart.errors import RequestError
from docker_autostart.visits import Visit


class Admission:
    """`generation` counts the service's starts: a visit belongs to the containers of one of them."""

    def __init__(self, left: Callable[[Visit], None]) -> None:
        """`left` is called with each visit that has ended."""
        self.generation = 0
        self._left = left
        self._visits: set[Visit] = set()
        self._waiters: set[asyncio.Future[Visit]] = set()

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for turn in self._waiters)

    @property
    def in_flight(self) -> int:
        return len(self._visits)

    @property
    def in_use(self) -> bool:
        """Whether a request that keeps the service running is in flight."""
        return any(visit.touch for visit in self._visits)

    @property
    def wanted(self) -> bool:
        return bool(self._waiters)

    def admit(self, touch: bool) -> Visit:
        visit = Visit(self.generation, touch)
        self._visits.add(visit)
        return visit

    def leave(self, visit: Visit) -> None:
        self._visits.remove(visit)
        self._left(visit)

    async def wait(self, timeout: float) -> Visit | None:
        """The visit of a request that waited for the service, None where `timeout` seconds passed.

        Raises what `refuse_all` was given.
        """
        turn: asyncio.Future[Visit] = asyncio.get_running_loop().create_future()
        self._waiters.add(turn)
        try:
            # Unlike a timeout around `await turn`, this cannot lose a turn that comes at the last moment.
            await asyncio.wait({turn}, timeout=timeout)
        except asyncio.CancelledError:
            if turn.done() and turn.exception() is None:
                self.leave(turn.result())
            raise
        finally:
            self._waiters.discard(turn)
        return turn.result() if turn.done() else None

    def admit_all(self) -> int:
        """Let in who waits; how many."""
        waiting = [turn for turn in self._waiters if not turn.done()]
        for turn in waiting:
            turn.set_result(self.admit(touch=True))
        return len(waiting)

    def refuse_all(self, error: RequestError) -> None:
        for turn in self._waiters:
            if not turn.done():
                turn.set_exception(error)

    def cut_late(self, drain_since: float, now: float) -> None:
        """End the requests for which a stop that began at that loop time does not wait any longer."""
        for visit in self._visits:
            visit.cut_if_late(drain_since, now)
