"""An event that a task waits for, at the latest until a time that it sets itself."""

import asyncio


class Alarm(asyncio.Event):
    async def wait_until(self, *times: float | None) -> None:
        """Return when the event is set, which clears it, or at the earliest of these loop times; None is never."""
        deadline = min((time for time in times if time is not None), default=None)
        try:
            async with asyncio.timeout_at(deadline):
                await self.wait()
        except TimeoutError:
            return
        self.clear()
