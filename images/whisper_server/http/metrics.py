"""GET /metrics, in Prometheus' text format, and GET /busy, which says whether the server may be stopped."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["Health"])


class Busy(BaseModel):
    """The work that a stop would interrupt: `busy` is the sum of the others.

    `requests` are those that upload, are validated, wait, or run.
    """

    busy: int
    requests: int
    jobs: int


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    state = request.app.state
    jobs = state.jobs
    text = state.metrics.text(
        state.uploads.held, state.queue.requests, jobs.counts(), state.engine.loaded(), jobs.oldest_waiting()
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/busy", summary="Work that a stop would interrupt")
async def busy(request: Request) -> Busy:
    state = request.app.state
    unfinished: Callable[[], int] = state.jobs.unfinished
    # Requests first: an upload that becomes a job meanwhile is counted twice rather than missed.
    requests: int = state.uploads.held + state.queue.requests
    jobs = await run_in_threadpool(unfinished)
    return Busy(busy=requests + jobs, requests=requests, jobs=jobs)
