"""The containers of one service, as its state machine sees them."""

from typing import Protocol

from docker_autostart.errors import EngineUnavailable


class Stack(Protocol):
    """Starts, stops and counts the containers of one service."""

    async def start(self) -> None:
        """Start stopped containers, and return when all accept requests. Raises `StartFailed`."""

    async def stop(self) -> None:
        """Raises `StopFailed`."""

    async def running(self) -> tuple[int, int]:
        """The number of running containers, and of all containers. Raises `EngineUnavailable`."""

    async def busy(self) -> int | None:
        """The number of background jobs; None if the container does not report it."""


class RunningContainers:
    """The number of running containers, counted only after one of them may have changed (`check_due`)."""

    def __init__(self) -> None:
        self.number = 0
        self.check_due = True

    async def are_complete(self, stack: Stack) -> bool | None:
        """Whether all containers run; None if no check is due, or the engine does not respond."""
        if not self.check_due:
            return None
        self.check_due = False
        try:
            self.number, total = await stack.running()
        except EngineUnavailable:
            return None  # keep the last known number until the engine is back
        return self.number == total
