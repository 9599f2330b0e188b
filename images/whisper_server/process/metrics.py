"""The metrics of one server, in Prometheus' text format."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# From a health check to a transcription at the proxy's timeout.
_BUCKETS = (0.005, 0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# From a job of a minute on an idle server to one of hours that waits for others.
_JOB_BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200)

CLIENTS = 100
"""Maximum number of clients with their own series; all others share the client "other"."""

JobEnd = Literal["completed", "failed", "cancelled"]


@dataclass(frozen=True)
class Description:
    """One metric; of a counter `name` is without `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


REQUESTS = Description(
    "whisper_request_seconds", "histogram", "Duration of requests, in seconds.", ("method", "route", "status")
)
AUDIO = Description("whisper_audio_seconds", "counter", "Seconds of transcribed audio.", ("model",))
ENGINE = Description("whisper_engine_seconds", "counter", "Seconds of processing time for this audio.", ("model",))
CLIENT_AUDIO = Description(
    "whisper_client_audio_seconds",
    "counter",
    "Seconds of transcribed audio by API key or user; empty without one.",
    ("client",),
)
JOB_WAIT = Description("whisper_job_wait_seconds", "histogram", "Seconds from the creation of a job to its last start.")
JOBS_ENDED = Description(
    "whisper_job_seconds",
    "histogram",
    "Seconds from the last start of a job to its end, by its final status.",
    ("status",),
)
QUEUED = Description("whisper_requests_in_queue", "gauge", "Requests that are running or waiting.")
UPLOADS = Description("whisper_uploads", "gauge", "Uploads that are being received or checked.")
JOBS = Description("whisper_jobs", "gauge", "Jobs by status.", ("status",))
OLDEST_JOB = Description("whisper_oldest_job_seconds", "gauge", "Age of the oldest waiting job; 0 without one.")
LOADED = Description("whisper_model_loaded", "gauge", "1 for each model in memory.", ("model",))
DESCRIPTIONS = (
    *(REQUESTS, AUDIO, ENGINE, CLIENT_AUDIO, JOB_WAIT, JOBS_ENDED),
    *(QUEUED, UPLOADS, JOBS, OLDEST_JOB, LOADED),
)


class Metrics:
    """The counters of a server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._histogram(REQUESTS, _BUCKETS)
        self._audio = self._counter(AUDIO)
        self._engine = self._counter(ENGINE)
        self._client_audio = self._counter(CLIENT_AUDIO)
        self._clients: set[str] = set()
        self._job_wait = self._histogram(JOB_WAIT, _JOB_BUCKETS)
        self._jobs_ended = self._histogram(JOBS_ENDED, _JOB_BUCKETS)
        for status in ("completed", "failed", "cancelled"):
            self._jobs_ended.labels(status)  # Prometheus sees no increase in the first sample of a series
        self._queued, self._uploads = self._gauge(QUEUED), self._gauge(UPLOADS)
        self._jobs, self._oldest_job = self._gauge(JOBS), self._gauge(OLDEST_JOB)
        self._loaded = self._gauge(LOADED)

    def _counter(self, described: Description) -> Counter:
        return Counter(described.name, described.text, described.labels, registry=self.registry)

    def _gauge(self, described: Description) -> Gauge:
        return Gauge(described.name, described.text, described.labels, registry=self.registry)

    def _histogram(self, described: Description, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(described.name, described.text, described.labels, buckets=buckets, registry=self.registry)

    def count_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Counts a request. `route` is None for unknown paths, which share one series, as unknown methods do."""
        known = method if route is not None and method in _METHODS else ""
        self._requests.labels(known, route or "", str(status)).observe(seconds)

    def count_work(self, model: str, client: str | None, audio_seconds: float, engine_seconds: float) -> None:
        """Counts transcribed audio and its processing time. `client` is None for an unauthenticated request."""
        self._audio.labels(model).inc(audio_seconds)
        self._engine.labels(model).inc(engine_seconds)
        self._client_audio.labels(self._known(client or "")).inc(audio_seconds)

    def _known(self, client: str) -> str:
        if client not in self._clients and len(self._clients) >= CLIENTS:
            return "other"
        self._clients.add(client)
        return client

    def count_job(self, status: JobEnd, waited: float, seconds: float) -> None:
        """Counts a job that ended: `waited` seconds until its last start, `seconds` from then on."""
        self._job_wait.observe(waited)
        self._jobs_ended.labels(status).observe(seconds)

    def text(
        self, uploads: int, requests: int, jobs: Mapping[str, int], loaded: Collection[str], oldest_job: float
    ) -> bytes:
        """All metrics. The parameters are the current values of the gauges; `oldest_job` is an age in seconds."""
        self._uploads.set(uploads)
        self._queued.set(requests)
        self._oldest_job.set(oldest_job)
        for status, number in jobs.items():
            self._jobs.labels(status).set(number)
        self._loaded.clear()
        for model in loaded:
            self._loaded.labels(model).set(1)
        return generate_latest(self.registry)
