"""The Docker Engine API, as far as this daemon needs it: what runs, start one, what happens."""

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
    healthy or unhealthy, None where there is no healthcheck. `created` is Unix time in seconds.
    """

    name: str
    status: str
    health: str | None = None
    exit_code: int = 0
    created: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        return self.status == "running"


class EngineRefused(Exception):
    """The engine answered with an error."""


class Engine(Protocol):
    """What a stack asks of the engine. Everything raises `EngineUnavailable`."""

    async def inspect(self, names: tuple[str, ...]) -> list[Container | None]:
        """In the order of `names`; None for a container that does not exist."""

    async def start(self, name: str) -> None:
        """Raises `EngineRefused`."""


class DockerEngine:
    """`Engine` over the socket that the environment names, as the `docker` command finds it."""

    def __init__(self) -> None:
        self._docker = aiodocker.Docker(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT))

    async def inspect(self, names: tuple[str, ...]) -> list[Container | None]:
        return await asyncio.gather(*(self._inspect_one(name) for name in names))

    async def start(self, name: str) -> None:
        try:
            await self._docker.containers.container(name).start()
        except aiodocker.DockerError as error:
            raise EngineRefused(f"{name}: {error.message}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    async def events(self) -> AsyncIterator[str | None]:
        """Names of containers that something happened to; None whenever the engine begins to answer.

        Never ends: when the engine goes away this waits for its return.
        """
        answered = True
        while True:
            try:
                async for name in self._events_until_disconnected():
                    answered = True
                    yield name
                reason = "it closed the stream of events"
            except (aiodocker.DockerError, aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = str(error)
            if answered:
                log.warning("the Docker Engine does not answer: %s", reason)
                answered = False
            await asyncio.sleep(RECONNECT)

    async def close(self) -> None:
        await self._docker.close()

    async def _events_until_disconnected(self) -> AsyncIterator[str | None]:
        await self._docker.version()
        events = self._docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        stream = asyncio.create_task(self._docker.events.run(filters='{"type":["container"]}'))
        try:
            yield None
            while (event := await events.get()) is not None:
                yield event.get("Actor", {}).get("Attributes", {}).get("name", "")
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
            labels=shown["Config"]["Labels"] or {},
        )


def _unavailable(error: Exception) -> EngineUnavailable:
    log.debug("Docker Engine: %r", error)
    return EngineUnavailable("The Docker Engine does not answer.")
