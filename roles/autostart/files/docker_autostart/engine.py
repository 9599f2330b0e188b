"""The part of the Docker Engine API that the daemon needs: inspect and start containers, memory, events."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import aiodocker
import aiohttp

from docker_autostart.errors import EngineUnavailable

REQUEST_TIMEOUT = 30.0
RECONNECT = 1.0

log = logging.getLogger("docker_autostart")


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it.

    `status` is the engine's: created, running, paused, restarting, removing, exited, dead. `health` is starting,
    healthy or unhealthy, None without a healthcheck. `created` is Unix time in seconds, `started` the time of the last
    start in the engine's own notation.
    """

    name: str
    status: str
    health: str | None = None
    exit_code: int = 0
    created: float = 0.0
    started: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True)
class Memory:
    """Of a running container, in bytes.

    `used` is without its page cache; `limit` is the host's memory for a container without a limit.
    """

    used: int
    limit: int


@dataclass(frozen=True)
class ContainerEvent:
    """An event of the container `name`; `action` is one of the engine's: start, die, oom, health_status: …"""

    name: str
    action: str


class EngineRefused(Exception):
    """The engine responded with an error."""


class Engine(Protocol):
    """The part that a stack uses. All methods raise `EngineUnavailable`."""

    async def inspect(self, names: tuple[str, ...]) -> list[Container | None]:
        """In the order of `names`; None for a container that does not exist."""

    async def start(self, name: str) -> None:
        """Raises `EngineRefused`."""


class DockerEngine:
    """`Engine` over the socket that the `docker` command would use in this environment."""

    def __init__(self) -> None:
        self._docker = aiodocker.Docker(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT))
        self.answers = True
        """Whether the stream of events is connected, or was not lost yet."""

    async def inspect(self, names: tuple[str, ...]) -> list[Container | None]:
        return await asyncio.gather(*(self._inspect_one(name) for name in names))

    async def start(self, name: str) -> None:
        try:
            await self._docker.containers.container(name).start()
        except aiodocker.DockerError as error:
            raise EngineRefused(f"{name}: {error.message}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    async def memory(self, name: str) -> Memory | None:
        """None for a container that does not run. Raises `EngineUnavailable`."""
        try:
            (stats,) = await self._docker.containers.container(name).stats(stream=False, timeout=REQUEST_TIMEOUT)
        except aiodocker.DockerError as error:
            if error.status == 404:
                return None
            raise _unavailable(error) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _unavailable(error) from error
        memory = stats.get("memory_stats", {})
        if "usage" not in memory:
            return None
        # As `docker stats` computes it; the second name is that of cgroup v1.
        detail = memory.get("stats", {})
        cache = detail.get("inactive_file", detail.get("total_inactive_file", 0))
        return Memory(max(0, memory["usage"] - cache), memory.get("limit", 0))

    async def events(self) -> AsyncIterator[ContainerEvent | None]:
        """Container events, and None whenever the engine has become available.

        Never ends: it reconnects when the engine has stopped.
        """
        while True:
            try:
                async for event in self._events_until_disconnected():
                    self.answers = True
                    yield event
                reason = "it closed the stream of events"
            except (aiodocker.DockerError, aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = str(error)
            if self.answers:
                log.warning("the Docker Engine does not answer: %s", reason)
                self.answers = False
            await asyncio.sleep(RECONNECT)

    async def close(self) -> None:
        await self._docker.close()

    async def _events_until_disconnected(self) -> AsyncIterator[ContainerEvent | None]:
        await self._docker.version()
        events = self._docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        stream = asyncio.create_task(self._docker.events.run(filters='{"type":["container"]}'))
        try:
            yield None
            while (event := await events.get()) is not None:
                name = event.get("Actor", {}).get("Attributes", {}).get("name", "")
                yield ContainerEvent(name, event.get("Action", ""))
            await stream
        finally:
            stream.cancel()
            await asyncio.wait({stream})

    async def _inspect_one(self, name: str) -> Container | None:
        try:
            shown = await self._docker.containers.container(name).show()
        except aiodocker.DockerError as error:
            if error.status == 404:
                return None
            raise _unavailable(error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error
        state = shown["State"]
        return Container(
            name=name,
            status=state["Status"],
            health=state.get("Health", {}).get("Status"),
            exit_code=state["ExitCode"],
            created=datetime.fromisoformat(shown["Created"]).timestamp(),
            started=state.get("StartedAt", ""),
            labels=shown["Config"]["Labels"] or {},
        )


def _unavailable(error: Exception) -> EngineUnavailable:
    log.debug("Docker Engine: %r", error)
    return EngineUnavailable("The Docker Engine does not answer.")
