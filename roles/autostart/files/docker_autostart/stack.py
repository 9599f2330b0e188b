"""A service's containers: started through the Engine API if that is enough, otherwise by Compose."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import yarl

from docker_autostart.compose import Compose, ComposeError
from docker_autostart.configuration import ServiceSettings
from docker_autostart.engine import Container, Engine, EngineRefused
from docker_autostart.errors import EngineUnavailable, StartFailed
from docker_autostart.stopping import StopFailed

SHORTEST_POLL = 0.05
LONGEST_POLL = 0.25
PROBE_TIMEOUT = 2.0
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""File names that Compose looks for, in its order; each may have an `.override` file."""
DEPENDS_ON = "com.docker.compose.depends_on"

log = logging.getLogger("docker_autostart")


class ComposeStack:
    """`containers.Stack` for one Compose project."""

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        compose: Compose,
        probe: aiohttp.ClientSession,
        before_stop: Callable[[ServiceSettings], Awaitable[None]],
    ) -> None:
        """`probe` must not keep connections alive: those to a stopped stack would be broken."""
        self._settings = settings
        self._engine = engine
        self._compose = compose
        self._probe = probe
        self._before_stop = before_stop
        self._base = yarl.URL.build(scheme="http", host="127.0.0.1", port=settings.proxy_port)
        self._stirred = asyncio.Event()
        self.is_whole_project = False
        """Whether the configured containers are all that the compose file describes (`preflight`)."""

    def stir(self) -> None:
        """A container changed: check immediately instead of at the next poll."""
        self._stirred.set()

    async def start(self) -> None:
        containers = await self._engine.inspect(self._settings.containers)
        if not all(container is not None and container.runs for container in containers):
            await self._bring_up(containers)
        await self._wait_until_ready()

    async def stop(self) -> None:
        await self._before_stop(self._settings)
        try:
            await self._compose.stop(self._settings)
        except ComposeError as error:
            raise StopFailed(str(error)) from error

    async def running(self) -> tuple[int, int]:
        containers = await self._engine.inspect(self._settings.containers)
        return sum(container is not None and container.runs for container in containers), len(containers)

    async def busy(self) -> int | None:
        """Requests `busy_path`, which returns a JSON number or an object with the number as "busy"."""
        if self._settings.busy_path is None:
            return 0
        try:
            async with self._ask(self._settings.busy_path) as response:
                response.raise_for_status()
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("%s: %s: %r", self._settings.host, self._settings.busy_path, error)
            return None
        count = answer.get("busy") if isinstance(answer, dict) else answer
        return count if isinstance(count, int) and count >= 0 else None

    async def _bring_up(self, containers: list[Container | None]) -> None:
        if self.is_whole_project and self._can_be_started_as_they_are(containers):
            try:
                names = [container.name for container in containers if container is not None and not container.runs]
                await asyncio.gather(*(self._engine.start(name) for name in names))
            except EngineRefused as error:
                log.info("%s: not started as it is, left to Compose: %s", self._settings.host, error)
            else:
                return
        try:
            await self._compose.up(self._settings)
        except ComposeError as error:
            # Compose's output may contain paths: it is logged, but not sent to clients.
            log.warning("%s: %s", self._settings.host, error)
            raise StartFailed(f"{self._settings.name} could not be started.") from error

    def _can_be_started_as_they_are(self, containers: list[Container | None]) -> bool:
        """Whether starting them is all that Compose would do: all exist, without dependencies or newer files."""
        changed = max((_changed_at(path) for path in self._files()), default=0.0)
        return all(
            container is not None
            and container.status in {"created", "exited", "running"}
            and not container.labels.get(DEPENDS_ON)
            and container.created > changed
            for container in containers
        )

    def _files(self) -> list[Path]:
        folder = self._settings.compose_dir
        if self._settings.compose_file is not None:
            return [self._settings.compose_file, folder / ".env"]
        overrides = [name.replace(".y", ".override.y") for name in COMPOSE_FILES]
        return [folder / name for name in (*COMPOSE_FILES, *overrides, ".env")]

    async def _wait_until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            self._stirred.clear()
            # In parallel: a container becomes healthy at about the time when it starts to respond.
            containers, answers = await asyncio.gather(self._inspect_or_unknown(), self._answers())
            for container in containers:
                self._refuse_ended(container)
            if (
                answers
                and containers
                and all(container.health in {None, "healthy"} for container in containers if container)
            ):
                return
            # Poll often at first and less often later, in proportion to the time passed.
            pause = min(LONGEST_POLL, max(SHORTEST_POLL, (loop.time() - began) / 50))
            try:
                async with asyncio.timeout(pause):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _inspect_or_unknown(self) -> list[Container | None]:
        """Empty while the Engine does not respond; with live-restore containers continue to start without it."""
        try:
            return await self._engine.inspect(self._settings.containers)
        except EngineUnavailable:
            return []

    def _refuse_ended(self, container: Container | None) -> None:
        if container is None:
            raise StartFailed(f"{self._settings.name} could not be started: a container is missing.")
        if container.status in {"exited", "dead", "removing", "paused"}:
            log.warning(
                "%s: container %s %s, code %d: see `docker logs %s`",
                self._settings.host,
                container.name,
                container.status,
                container.exit_code,
                container.name,
            )
            raise StartFailed(f"{self._settings.name} could not be started: its container {container.status}.")

    async def _answers(self) -> bool:
        try:
            async with self._ask(self._settings.ready_path) as response:
                wanted = self._settings.ready_status
                return response.status < 500 if wanted is None else response.status == wanted
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _ask(self, path: str) -> "aiohttp.client._RequestContextManager":
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT)
        return self._probe.get(
            self._base.with_path(path, encoded=True),
            headers={"Host": self._settings.host},
            timeout=timeout,
            allow_redirects=False,
        )


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
