"""The daemon's own metrics; `DESCRIPTIONS` lists them."""

import asyncio
import functools
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from docker_autostart import __version__
from docker_autostart.configuration import ServiceSettings
from docker_autostart.engine import DockerEngine
from docker_autostart.events import Event
from docker_autostart.fleet import Fleet
from docker_autostart.service import Service, State

ALERTING = ("429", "500", "502", "503", "504")
"""Statuses of responses that alerts watch."""
CLIENTS = 100
"""Maximum number of clients with their own series; all others share the client "other"."""


@dataclass(frozen=True)
class Description:
    """One metric; of a counter `name` is without `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


REQUESTS = Description(
    "autostart_requests",
    "counter",
    "Requests answered. start: cold waited for a start, asleep was refused because it does not start the service (503),"
    " warm are all others. service is empty for unknown hosts.",
    ("service", "status", "start"),
)
CLIENT_REQUESTS = Description(
    "autostart_client_requests",
    "counter",
    "Requests by the API key or user that nginx authenticated; empty without one.",
    ("service", "client"),
)
STARTS = Description(
    "autostart_start_seconds",
    "histogram",
    "Time from the decision to start until the service was ready, adoptions of running containers included.",
    ("service",),
)
EVENTS = Description(
    "autostart_events", "counter", "What happened to the services, by the event log's kinds.", ("service", "kind")
)
OOM_KILLS = Description(
    "autostart_oom_kills", "counter", "Processes that the kernel killed for lack of memory.", ("service", "container")
)
STATE = Description("autostart_state", "gauge", "1 for the state a service is in.", ("service", "state"))
WAITING = Description("autostart_requests_waiting", "gauge", "Requests that wait for a start.", ("service",))
IN_FLIGHT = Description("autostart_requests_in_flight", "gauge", "Requests let through.", ("service",))
RUNNING = Description("autostart_containers_running", "gauge", "Running containers, as last seen.", ("service",))
LAST_USED = Description(
    "autostart_last_used_timestamp_seconds", "gauge", "End of the last request, in Unix time.", ("service",)
)
START_TIMEOUT = Description(
    "autostart_start_timeout_seconds", "gauge", "How long a request waits for a start.", ("service",)
)
ENGINE_UP = Description("autostart_engine_up", "gauge", "1 while the Docker Engine answers.")
BUILD_INFO = Description("autostart_build_info", "gauge", "1, with the versions as labels.", ("version", "python"))
MEMORY = Description(
    "autostart_container_memory_bytes",
    "gauge",
    "Memory of a running container, without its page cache.",
    ("service", "container"),
)
MEMORY_LIMIT = Description(
    "autostart_container_memory_limit_bytes",
    "gauge",
    "Memory limit of a running container; the host's memory without one.",
    ("service", "container"),
)
DESCRIPTIONS = (
    *(REQUESTS, CLIENT_REQUESTS, STARTS, EVENTS, OOM_KILLS),
    *(STATE, WAITING, IN_FLIGHT, RUNNING, LAST_USED, START_TIMEOUT, ENGINE_UP, BUILD_INFO, MEMORY, MEMORY_LIMIT),
)
"""`exposition` serves these along with the metrics of services and other programs."""


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(REQUESTS)
        # Looking a counter up by its labels takes longer than all else that is counted of a request.
        self._labelled = functools.cache(self._requests.labels)
        self._client_requests = self._counter(CLIENT_REQUESTS)
        self._labelled_clients = functools.cache(self._client_requests.labels)
        self._clients: set[str] = set()
        self._events = self._counter(EVENTS)
        self._oom_kills = self._counter(OOM_KILLS)
        self._starts = Histogram(
            STARTS.name,
            STARTS.text,
            STARTS.labels,
            buckets=(0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600),
            registry=self.registry,
        )

    def _counter(self, described: Description) -> Counter:
        return Counter(described.name, described.text, described.labels, registry=self.registry)

    def watch(self, fleet: Fleet, engine: DockerEngine) -> None:
        self.registry.register(_Now(fleet, engine, self._begin_at_0))

    def _begin_at_0(self, settings: ServiceSettings) -> None:
        """Create series that alerts watch: Prometheus sees no increase in the first sample of one."""
        for container in settings.containers:
            self._oom_kills.labels(settings.host, container)
        for status in ALERTING:
            self._labelled(settings.host, status, "warm")
        self._starts.labels(settings.host)

    def count_request(self, host: str, status: int, start: str, client: str) -> None:
        """`host` is "" for unknown hosts, `client` is "" without credentials; `start` as `REQUESTS` describes it."""
        self._labelled(host, str(status), start).inc()
        self._labelled_clients(host, self._known(client)).inc()

    def _known(self, client: str) -> str:
        if client in self._clients:
            return client
        if len(self._clients) >= CLIENTS:
            return "other"
        self._clients.add(client)
        return client

    def count_event(self, event: Event) -> None:
        self._events.labels(event.host, event.kind).inc()
        if event.kind == "ready" and event.seconds is not None:
            self._starts.labels(event.host).observe(event.seconds)

    def count_oom_kill(self, host: str, container: str) -> None:
        self._oom_kills.labels(host, container).inc()


class _Now(Collector):
    """Gauges: the current state of the services and the Engine."""

    def __init__(self, fleet: Fleet, engine: DockerEngine, begin: Callable[[ServiceSettings], None]) -> None:
        """`begin` is called for each service."""
        self._begin = begin
        self._fleet = fleet
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        services = self._fleet.services.items()
        state = gauge(STATE)
        for host, service in services:
            self._begin(service.settings)
            for each in State:
                state.add_metric((host, each), float(service.state is each))
        yield state
        for described, value in _VALUES.items():
            family = gauge(described)
            for host, service in services:
                if (measured := value(service)) is not None:
                    family.add_metric((host,), measured)
            yield family
        engine, build = gauge(ENGINE_UP), gauge(BUILD_INFO)
        engine.add_metric((), float(self._engine.answers))
        build.add_metric((__version__, platform.python_version()), 1.0)
        yield from (engine, build)


def _last_used(service: Service) -> float | None:
    used = service.clock.last_used
    return None if used is None else time.time() - (asyncio.get_running_loop().time() - used)


_VALUES: Mapping[Description, Callable[[Service], float | None]] = {
    WAITING: lambda service: service.waiting,
    IN_FLIGHT: lambda service: service.in_flight,
    RUNNING: lambda service: service.running_containers,
    START_TIMEOUT: lambda service: service.settings.start_timeout,
    LAST_USED: _last_used,
}


def gauge(described: Description) -> GaugeMetricFamily:
    return GaugeMetricFamily(described.name, described.text, labels=described.labels)
