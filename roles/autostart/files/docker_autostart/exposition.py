"""What Prometheus gets: the metrics of the daemon, of the services, and of other programs of the host."""

import uuid
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from docker_autostart.metrics import Metrics
from docker_autostart.service_metrics import ServiceMetrics, merged
from docker_autostart.textfiles import Textfiles
from docker_autostart.totals import CUMULATIVE, Totals

_HEADERS = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store", "Server": "docker-autostart"}

DAEMON = ""
"""The daemon among the sources of `Totals`."""


class Exposition(Collector):
    """Asks nobody: everything is counted here, or was read before."""

    def __init__(self, metrics: Metrics, services: ServiceMetrics, textfiles: Textfiles, totals: Totals) -> None:
        self._metrics = metrics
        self._services = services
        self._textfiles = textfiles
        self._totals = totals
        self._run = uuid.uuid4().hex
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def response(self) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers=_HEADERS)

    def keep_own_counters(self) -> None:
        """Hand the daemon's counters over to the `Totals`."""
        self._totals.update(DAEMON, self._run, self._metrics.registry.collect())

    def collect(self) -> Iterator[Metric]:
        self.keep_own_counters()
        yield from merged(self._families())

    def _families(self) -> Iterator[Metric]:
        yield from self._totals.families(DAEMON)
        yield from (family for family in self._metrics.registry.collect() if family.type not in CUMULATIVE)
        yield from self._services.families()
        yield from self._textfiles.families()
