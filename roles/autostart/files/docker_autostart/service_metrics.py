"""Metrics of the services, read periodically so that a scrape does not wait for them.

Only ready services are read, directly from the container's port, which neither starts them nor keeps them running.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import yarl
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docker_autostart.configuration import ServiceSettings
from docker_autostart.engine import Container, Memory
from docker_autostart.errors import EngineUnavailable
from docker_autostart.fleet import Fleet
from docker_autostart.metrics import MEMORY, MEMORY_LIMIT, gauge
from docker_autostart.service import State
from docker_autostart.totals import CUMULATIVE, Totals

PREFIX = "whisper_"
"""Prefix of the families that are included; others (process_…, python_…) are left out."""
READ_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
LARGEST_ANSWER = 1_000_000

log = logging.getLogger("docker_autostart")


class Engine(Protocol):
    """What is asked of the Docker Engine. Everything raises `EngineUnavailable`."""

    async def inspect(self, names: tuple[str, ...]) -> list[Container | None]: ...

    async def memory(self, name: str) -> Memory | None:
        """None for a container that does not run."""


@dataclass(frozen=True)
class _Reading:
    """The gauges of a service, and the memory of its containers by name."""

    gauges: tuple[Metric, ...]
    memory: Mapping[str, Memory]


class ServiceMetrics:
    """The last reading of each service; counters are added to `Totals`."""

    def __init__(self, fleet: Fleet, engine: Engine, probe: aiohttp.ClientSession, totals: Totals) -> None:
        self._fleet = fleet
        self._engine = engine
        self._probe = probe
        self._totals = totals
        self._readings: dict[str, _Reading] = {}

    async def read_all(self) -> None:
        """Read those that are ready."""
        ready = [service.settings for service in self._fleet.services.values() if service.state is State.READY]
        await asyncio.gather(*(self.read(settings) for settings in ready))

    async def read(self, settings: ServiceSettings) -> None:
        """Read a service. The previous reading is kept if the Engine does not respond."""
        try:
            families = await self._read_counters(settings)
            memory = {name: await self._engine.memory(name) for name in settings.containers}
        except EngineUnavailable:
            return
        self._readings[settings.host] = _Reading(
            tuple(family for family in families if family.type not in CUMULATIVE),
            {name: used for name, used in memory.items() if used is not None},
        )

    async def _read_counters(self, settings: ServiceSettings) -> list[Metric]:
        """Add the counters to `Totals`, and return all families. Raises `EngineUnavailable`."""
        containers = await self._engine.inspect(settings.containers)
        families = await self._ask(settings)
        run = " ".join(container.started if container else "" for container in containers)
        self._totals.update(settings.host, run, families)
        return families

    async def _ask(self, settings: ServiceSettings) -> list[Metric]:
        """The families at its `metrics_path`; empty without such a path or a valid response."""
        if settings.metrics_path is None:
            return []
        url = yarl.URL.build(scheme="http", host="127.0.0.1", port=settings.proxy_port)
        try:
            async with self._probe.get(
                url.with_path(settings.metrics_path, encoded=True), timeout=READ_TIMEOUT, allow_redirects=False
            ) as response:
                response.raise_for_status()
                body = await _read(response)
                return [family for family in parse_metrics(body.decode()) if family.name.startswith(PREFIX)]
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.debug("%s: %s: %r", settings.host, settings.metrics_path, error)
            return []

    async def read_last(self, settings: ServiceSettings) -> None:
        """Read the counters before a stop: those since the previous reading would be lost."""
        self._readings.pop(settings.host, None)
        with contextlib.suppress(EngineUnavailable):
            await self._read_counters(settings)

    def families(self) -> Iterator[Metric]:
        """What a scrape gets: sums of all services, and gauges of the ready ones."""
        for host, service in self._fleet.services.items():
            yield from _of_service(host, self._totals.families(host))
            if service.state is State.READY and host in self._readings:
                yield from _of_service(host, self._readings[host].gauges)
                yield from _memory(host, self._readings[host].memory)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise ValueError(f"more than {LARGEST_ANSWER} bytes")
    return body


def parse_metrics(text: str) -> list[Metric]:
    """Families in Prometheus' text format. Raises ValueError."""
    try:
        return [family for family in text_string_to_metric_families(text) if not family.name.endswith("_created")]
    except (IndexError, KeyError) as error:  # some malformed lines
        raise ValueError(f"not in Prometheus' text format: {error!r}") from error


def merged(families: Iterable[Metric]) -> Iterator[Metric]:
    """One family per name, as the format requires; if types differ, the first one wins."""
    found: dict[str, Metric] = {}
    for family in families:
        known = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        if known.type == family.type:
            known.samples.extend(family.samples)
    yield from found.values()


def _of_service(host: str, families: Iterable[Metric]) -> Iterator[Metric]:
    for family in families:
        labelled = Metric(family.name, family.documentation, family.type)
        for sample in family.samples:
            labelled.add_sample(sample.name, {"service": host, **sample.labels}, sample.value)
        yield labelled


def _memory(host: str, memory: Mapping[str, Memory]) -> Iterator[Metric]:
    used, limit = gauge(MEMORY), gauge(MEMORY_LIMIT)
    for name, each in memory.items():
        used.add_metric((host, name), each.used)
        limit.add_metric((host, name), each.limit)
    yield from (used, limit)
