"""The metrics of one server, in Prometheus' text format."""

from collections.abc import Collection, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# From a health check to a transcription at the proxy's timeout.
_BUCKETS = (0.005, 0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The counters of a server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Histogram(
            "whisper_request_seconds",
            "Seconds that requests took.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._audio = Counter(
            "whisper_audio_seconds", "Seconds of audio that were transcribed.", ["model"], registry=self.registry
        )
        self._engine = Counter(
            "whisper_engine_seconds", "Seconds that transcribing them took.", ["model"], registry=self.registry
        )
        self._queued = Gauge("whisper_requests_in_queue", "Requests that run or wait.", registry=self.registry)
        self._uploads = Gauge("whisper_uploads", "Uploads that arrive or are checked.", registry=self.registry)
        self._jobs = Gauge("whisper_jobs", "Jobs by status.", ["status"], registry=self.registry)
        self._loaded = Gauge("whisper_model_loaded", "1 for each model in memory.", ["model"], registry=self.registry)

    def count_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """`route` is None for unknown addresses, which share one line; so do unknown methods."""
        known = method if route is not None and method in _METHODS else ""
        self._requests.labels(known, route or "", str(status)).observe(seconds)

    def count_work(self, model: str, audio_seconds: float, engine_seconds: float) -> None:
        self._audio.labels(model).inc(audio_seconds)
        self._engine.labels(model).inc(engine_seconds)

    def text(self, uploads: int, requests: int, jobs: Mapping[str, int], loaded: Collection[str]) -> bytes:
        """All metrics; the parameters are the current values of the gauges."""
        self._uploads.set(uploads)
        self._queued.set(requests)
        for status, number in jobs.items():
            self._jobs.labels(status).set(number)
        self._loaded.clear()
        for model in loaded:
            self._loaded.labels(model).set(1)
        return generate_latest(self.registry)
