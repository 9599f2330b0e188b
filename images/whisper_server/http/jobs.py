"""Jobs, for recordings that take longer than any proxy waits.

Source of `Prefer: respond-async`: RFC 7240, section 4.1.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from whisper_server.http.errors import described
from whisper_server.http.formats import say_what_was_shortened
from whisper_server.work.job_records import Job, Order
from whisper_server.work.job_store import JobStore

router = APIRouter(tags=["Jobs"])


class JobList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Job]


def prefer_async(
    prefer: Annotated[
        str, Header(description="`respond-async`: answer at once with a job, and do the work when there is time.")
    ] = "",
) -> bool:
    """Whether the client asked for a job. Preferences are separated by commas, their parameters by semicolons."""
    preferences = (preference.partition(";")[0].strip().lower() for preference in prefer.split(","))
    return "respond-async" in preferences


def caller(
    # Not in the schema: the proxy tells it, whatever a client sends (roles/nginx).
    x_remote_user: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> str | None:
    """Name of the user or the API key, None for whoever calls the server past the proxy."""
    return x_remote_user


async def accept(request: Request, audio: Path, order: Order) -> Response:
    """The answer 202 for a new job. Raises ApiError 429 when there are too many jobs, 503 without disk space."""
    jobs: JobStore = request.app.state.jobs
    # Copying a large recording takes seconds: in the threads that uploads have anyway.
    job = await asyncio.get_running_loop().run_in_executor(request.app.state.preparing, jobs.add, audio, order)
    # Relative to the request's own address, which holds behind any proxy (RFC 9110, section 10.2.2).
    headers = {"location": f"/jobs/{job.id}", "preference-applied": "respond-async"}
    return JSONResponse(job.model_dump(exclude_none=True), 202, headers)


_Caller = Annotated[str | None, Depends(caller)]


@router.get(
    "/jobs", summary="List your jobs, the newest first", responses=described(), response_model_exclude_none=True
)
def list_jobs(request: Request, caller: _Caller) -> JobList:
    jobs: JobStore = request.app.state.jobs
    return JobList(data=jobs.all(caller))


@router.get("/jobs/{job_id}", summary="How far is a job?", responses=described(404), response_model=Job)
def retrieve_job(request: Request, job_id: str, caller: _Caller) -> Response:
    jobs: JobStore = request.app.state.jobs
    job = jobs.get(job_id, caller)
    if job.status != "completed":
        return JSONResponse(job.model_dump(exclude_none=True))
    result = jobs.result(job_id, caller)
    response = Response(job.with_result(result), media_type="application/json")
    say_what_was_shortened(response, result.shortened)
    return response


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job, or forget one that is finished",
    responses=described(404),
    response_model_exclude_none=True,
)
def cancel_job(request: Request, job_id: str, caller: _Caller) -> Job:
    jobs: JobStore = request.app.state.jobs
    return jobs.cancel(job_id, caller)
