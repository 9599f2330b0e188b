"""GET /metrics, in Prometheus' text format, and GET /busy, which says whether the server may be stopped."""

from collections.abc import Callable, Collection, Mapping

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["Health"])

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# From a health check to a transcription that takes as long as a proxy waits.
_BUCKETS = (0.005, 0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What a server counts; each has a registry of its own."""

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
        """`route` is None where there is no such address. Those share one line; invented methods do too."""
        known = method if route is not None and method in _METHODS else ""
        self._requests.labels(known, route or "", str(status)).observe(seconds)

    def count_work(self, model: str, audio_seconds: float, engine_seconds: float) -> None:
        self._audio.labels(model).inc(audio_seconds)
        self._engine.labels(model).inc(engine_seconds)

    def text(self, uploads: int, requests: int, jobs: Mapping[str, int], loaded: Collection[str]) -> bytes:
        """All of it, with the present values of what is not counted."""
        self._uploads.set(uploads)
        self._queued.set(requests)
        for status, number in jobs.items():
            self._jobs.labels(status).set(number)
        self._loaded.clear()
        for model in loaded:
            self._loaded.labels(model).set(1)
        return generate_latest(self.registry)


class Busy(BaseModel):
    """`busy` is 0 when nothing is lost by stopping the server; it is the sum of the others.

    `requests` are those whose upload arrives or is checked, that wait, and that are answered.
    """

    busy: int
    requests: int
    jobs: int


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    state = request.app.state
    text = state.metrics.text(state.uploads.held, state.queue.requests, state.jobs.counts(), state.engine.loaded())
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/busy", summary="How much work would be cut short by a stop?")
async def busy(request: Request) -> Busy:
    state = request.app.state
    unfinished: Callable[[], int] = state.jobs.unfinished
    # Requests first: an upload that becomes a job meanwhile is counted twice, and not missed.
    requests: int = state.uploads.held + state.queue.requests
    jobs = await run_in_threadpool(unfinished)
    return Busy(busy=requests + jobs, requests=requests, jobs=jobs)
