"""Reads the services' metrics and text files periodically, and writes the counters to disk."""

import asyncio
import itertools
from pathlib import Path

import aiohttp

from docker_autostart.configuration import ServiceSettings
from docker_autostart.engine import DockerEngine
from docker_autostart.exposition import DAEMON, Exposition
from docker_autostart.fleet import Fleet
from docker_autostart.metrics import Metrics
from docker_autostart.service_metrics import ServiceMetrics
from docker_autostart.textfiles import Textfiles
from docker_autostart.totals_file import TotalsFile

READ_EVERY = 10.0
"""Seconds. Also the maximum age of gauges, and what a crash of a service loses of its counters."""
WRITES_EVERY = 6
"""Number of readings between writes, and what a power failure loses."""


class Metering:
    """`exposition` is what Prometheus gets."""

    def __init__(
        self, metrics: Metrics, fleet: Fleet, engine: DockerEngine, probe: aiohttp.ClientSession, state_directory: Path
    ) -> None:
        self._fleet = fleet
        self._file = TotalsFile(state_directory / "counters.json")
        self._totals = self._file.read()
        self._services = ServiceMetrics(fleet, engine, probe, self._totals)
        self._textfiles = Textfiles(state_directory / "textfiles")
        self.exposition = Exposition(metrics, self._services, self._textfiles, self._totals)

    async def keep(self) -> None:
        """Until cancelled."""
        for reading in itertools.count():
            await self._services.read_all()
            self._textfiles.read()
            if reading % WRITES_EVERY == 0:
                await self.write()
            await asyncio.sleep(READ_EVERY)

    async def read_last(self, settings: ServiceSettings) -> None:
        await self._services.read_last(settings)

    async def write(self) -> None:
        self._totals.retain((DAEMON, *self._fleet.services))
        self.exposition.keep_own_counters()
        await self._file.write(self._totals)
