"""Admitted requests, and how long each may delay a stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

DRAIN_TIMEOUT = 600.0
"""Seconds. As long as nginx waits for a response, so a request whose upload is complete gets one."""
UPLOAD_PATIENCE = 10.0
"""Seconds for the next piece of an upload (`proxy.UPLOAD_PIECE`), and for a whole request of a monitor."""


def _never() -> None:
    return None


@dataclass(eq=False, slots=True)
class Lease:
    """An admitted request. `generation` counts the service's starts; `keeps_running`: it keeps the service running.

    `waits_since` returns the loop time since which the proxy waits for the client, None if it does not. A request that
    can be cut runs within `limit`, an `asyncio.timeout(None)`.
    """

    generation: int
    keeps_running: bool
    waits_since: Callable[[], float | None] = _never
    limit: asyncio.Timeout | None = None

    def cut_if_late(self, drain_since: float, now: float) -> None:
        """`drain_since` and `now` are loop times; the stop waits since the first of them."""
        if self.limit is None or self.limit.when() is not None:  # or it was cut before
            return
        waits_since = self.waits_since()
        stalls = waits_since is not None and now >= max(drain_since, waits_since) + UPLOAD_PATIENCE
        if stalls or now >= drain_since + (DRAIN_TIMEOUT if self.keeps_running else UPLOAD_PATIENCE):
            self.limit.reschedule(now)
