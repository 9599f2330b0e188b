"""One start of a service, which is limited in time and can be cancelled by a stop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from docker_autostart.checks import LONGEST_START_TIMEOUT
from docker_autostart.errors import StartFailed

START_LIMIT = LONGEST_START_TIMEOUT
"""Seconds. A start continues after its clients have timed out, so that their next attempt waits less; not forever."""


class StartAbandoned(Exception):
    """There was no memory for a start, and no request waits for it any more."""


async def start_within_limit(name: str, steps: Callable[[], Awaitable[None]]) -> None:
    """Raises what `steps` raises, and `StartFailed` after `START_LIMIT`."""
    try:
        async with asyncio.timeout(START_LIMIT):
            await steps()
    except TimeoutError:
        raise StartFailed(f"{name} was not ready within {START_LIMIT} s.") from None


async def run_unless(
    work: Coroutine[None, None, None], changed: asyncio.Event, is_ended: Callable[[], bool]
) -> asyncio.Task[None]:
    """The finished task of `work`. It is cancelled once `is_ended` returns true, checked whenever `changed` is set."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    try:
        while not task.done() and not is_ended():
            change = loop.create_task(changed.wait())
            await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            changed.clear()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return task
