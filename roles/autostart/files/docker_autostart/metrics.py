"""Prometheus metrics: counters as things happen, the rest read off the services when somebody asks."""

import functools
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from docker_autostart.events import Event
from docker_autostart.fleet import Fleet
from docker_autostart.service import State


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "autostart_requests",
            "Requests answered; start is cold for those that waited for one. No service for unknown hosts.",
            ("service", "status", "start"),
            registry=self._registry,
        )
        # Looking a counter up by its labels takes longer than all else that is counted of a request.
        self._labelled = functools.cache(self._requests.labels)
        self._starts = Histogram(
            "autostart_start_seconds",
            "Time from the decision to start until the service was ready, adoptions of running containers included.",
            ("service",),
            buckets=(0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600),
            registry=self._registry,
        )
        self._events = Counter(
            "autostart_events",
            "What happened to the services, by the event log's kinds.",
            ("service", "kind"),
            registry=self._registry,
        )

    def watch(self, fleet: Fleet) -> None:
        self._registry.register(_Now(fleet))

    def count_request(self, host: str, status: int, cold: bool) -> None:
        self._labelled(host, status, "cold" if cold else "warm").inc()

    def count_event(self, event: Event) -> None:
        self._events.labels(event.host, event.kind).inc()
        if event.kind == "ready" and event.seconds is not None:
            self._starts.labels(event.host).observe(event.seconds)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)


class _Now(Collector):
    """The services as they are at this moment."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("autostart_state", "1 for the state a service is in.", labels=("service", "state"))
        held = GaugeMetricFamily("autostart_held_requests", "Requests that wait for a start.", labels=("service",))
        in_flight = GaugeMetricFamily("autostart_requests_in_flight", "Requests let through.", labels=("service",))
        running = GaugeMetricFamily("autostart_containers_running", "Containers, as last seen.", labels=("service",))
        for host, service in self._fleet.services.items():
            for each in State:
                state.add_metric((host, each), float(service.state is each))
            held.add_metric((host,), service.waiting)
            in_flight.add_metric((host,), service.in_flight)
            running.add_metric((host,), service.running_containers)
        yield from (state, held, in_flight, running)
