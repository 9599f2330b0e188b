"""A stack without Docker: implements `docker_autostart.service.Stack`, and asserts what must hold when it is used."""

import asyncio
import json
from collections.abc import Callable

from docker_autostart.configuration import ServiceSettings, parse_configuration
from docker_autostart.errors import EngineUnavailable, StartFailed
from docker_autostart.stopping import StopFailed


def settings(**changes: object) -> ServiceSettings:
    """Of a service with one container, made by the real parser; `changes` are keys of config.json."""
    service = {
        "name": "Whisper API",
        "composeDir": "/opt/whisper-faster",
        "proxyPort": 8001,
        "containers": ["faster-whisper"],
        **changes,
    }
    configuration = parse_configuration(json.dumps({"services": {"whisper.example.com": service}}))
    return configuration.services["whisper.example.com"]


class FakeStack:
    """Times in seconds of the loop's clock. `total` containers, of which `up` run."""

    def __init__(self, total: int = 1) -> None:
        self.total = total
        self.up = 0
        self.jobs: int | None = 0
        self.start_takes = 1.0
        self.stop_takes = 0.5
        self.busy_takes = 0.0
        self.start_failure: str | None = None
        self.stop_fails = False
        self.engine_answers = True
        self.in_use: Callable[[], int] = lambda: 0
        self.starts = 0
        self.stops = 0
        self._acting = ""

    async def start(self) -> None:
        self._begin("start")
        try:
            self.starts += 1
            if not self.engine_answers:
                raise EngineUnavailable("The Docker Engine does not answer.")
            if self.up < self.total:
                await asyncio.sleep(self.start_takes)
            if self.start_failure is not None:
                raise StartFailed(self.start_failure)
            self.up = self.total
        finally:
            self._acting = ""

    async def stop(self) -> None:
        self._begin("stop")
        assert self.in_use() == 0, "stopped while a request was in flight"
        assert not self.jobs, "stopped while a job ran"
        try:
            self.stops += 1
            await asyncio.sleep(self.stop_takes)
            if self.stop_fails or not self.engine_answers:
                raise StopFailed("docker compose stop ended with 1")
            self.up = 0
        finally:
            self._acting = ""

    async def running(self) -> tuple[int, int]:
        if not self.engine_answers:
            raise EngineUnavailable("The Docker Engine does not answer.")
        return self.up, self.total

    async def busy(self) -> int | None:
        await asyncio.sleep(self.busy_takes)
        return self.jobs

    def _begin(self, what: str) -> None:
        assert not self._acting, f"{what} during {self._acting}"
        self._acting = what
