"""The requests of one service: those that were admitted, and those that wait until it is ready."""

import asyncio
from collections.abc import Callable

from docker_autostart.errors import RequestError
from docker_autostart.leases import Lease


class Admission:
    """`generation` is the number of starts so far; a lease belongs to one of them."""

    def __init__(self, left: Callable[[Lease], None]) -> None:
        """`left` is called with each released lease."""
        self.generation = 0
        self._left = left
        self._leases: set[Lease] = set()
        self._waiters: set[asyncio.Future[Lease]] = set()

    @property
    def waiting(self) -> int:
        return sum(not waiter.done() for waiter in self._waiters)

    @property
    def in_flight(self) -> int:
        return len(self._leases)

    @property
    def in_use(self) -> bool:
        """Whether a request that keeps the service running is in flight."""
        return any(lease.keeps_running for lease in self._leases)

    @property
    def wanted(self) -> bool:
        return bool(self._waiters)

    def admit(self, keeps_running: bool) -> Lease:
        lease = Lease(self.generation, keeps_running)
        self._leases.add(lease)
        return lease

    def release(self, lease: Lease) -> None:
        self._leases.remove(lease)
        self._left(lease)

    async def wait(self, timeout: float) -> Lease | None:
        """Wait until the service is ready and return a lease, or None after `timeout` seconds.

        Raises what `refuse_all` was given.
        """
        waiter: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            # Unlike a timeout around `await waiter`, this cannot lose a lease that is granted at the last moment.
            await asyncio.wait({waiter}, timeout=timeout)
        except asyncio.CancelledError:
            if waiter.done() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        finally:
            self._waiters.discard(waiter)
        return waiter.result() if waiter.done() else None

    def admit_all(self) -> None:
        """Admit all waiting requests."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(self.admit(keeps_running=True))

    def refuse_all(self, error: RequestError) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def cut_late(self, drain_since: float, now: float) -> None:
        """Cut the requests that a stop, begun at loop time `drain_since`, no longer waits for."""
        for lease in self._leases:
            lease.cut_if_late(drain_since, now)
