"""Jobs, for recordings that take longer than any proxy waits.

Source of `Prefer: respond-async`: RFC 7240, section 4.1.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, TypeAdapter

from whisper_server.http import formats
from whisper_server.http.errors import Error, error_responses
from whisper_server.http.json_pieces import Granularity
from whisper_server.speech.engine import Stage
from whisper_server.speech.transcript import Transcript
from whisper_server.work.job_records import JobRequest, Record, Status
from whisper_server.work.job_store import JobStore

router = APIRouter(tags=["Jobs"])

_FORMAT: TypeAdapter[formats.Format] = TypeAdapter(formats.Format)
_GRANULARITIES: TypeAdapter[list[Granularity]] = TypeAdapter(list[Granularity])


class Job(BaseModel):
    """A job. Times are in seconds since the epoch.

    `stage` is the current step of a job in progress: `decoding` the file, diarizing `speakers`, transcribing `text`,
    and `alignment` of words with the audio. `progress` is the completed share of all stages, between 0 and 1; it
    restarts at 0 when the job is retried because its server ended. `result` is the response that the request would
    have got: an object, or a text for `text`, `srt` and `vtt`. `shortened` names the form fields that were not used in
    full, if any.
    """

    id: str
    object: Literal["job"] = "job"
    status: Status
    stage: Stage | None = None
    progress: float
    model: str
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    error: Error | None = None
    result: dict[str, Any] | str | None = None
    shortened: Sequence[str] | None = None

    @classmethod
    def of(cls, record: Record) -> "Job":
        """A job without its result."""
        error = record.error if record.status == "failed" else None
        return cls(
            id=record.id,
            status=record.status,
            stage=record.stage if record.status == "in_progress" else None,
            progress=round(record.progress, 4),
            model=record.request.options.model,
            created_at=int(record.created),
            started_at=None if record.started is None else int(record.started),
            finished_at=None if record.finished is None else int(record.finished),
            error=None if error is None else Error.model_validate(asdict(error)),
        )


class JobList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Job]


def prefer_async(
    prefer: Annotated[
        str,
        Header(description="`respond-async`: respond immediately with a job, which is processed in the background."),
    ] = "",
) -> bool:
    """Whether the client requested a job. Preferences are separated by commas, their parameters by semicolons."""
    preferences = (preference.partition(";")[0].strip().lower() for preference in prefer.split(","))
    return "respond-async" in preferences


def caller(
    # Not in the schema: the proxy sets it, whatever a client sends (roles/nginx).
    x_remote_user: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> str | None:
    """Name of the user or the API key; None for a caller that bypasses the proxy."""
    return x_remote_user


async def accept(request: Request, audio: Path, job_request: JobRequest) -> Response:
    """The response 202 for a new job. Raises what `JobStore.add` raises."""
    jobs: JobStore = request.app.state.jobs
    # Copying a large recording takes seconds, so it is done in the threads for uploads.
    loop = asyncio.get_running_loop()
    job = Job.of(await loop.run_in_executor(request.app.state.preparing, jobs.add, audio, job_request))
    # Relative to the request's own address, which holds behind any proxy (RFC 9110, section 10.2.2).
    headers = {"location": f"/jobs/{job.id}", "preference-applied": "respond-async"}
    return JSONResponse(job.model_dump(exclude_none=True), 202, headers)


_Caller = Annotated[str | None, Depends(caller)]


@router.get(
    "/jobs", summary="List your jobs, newest first", responses=error_responses(), response_model_exclude_none=True
)
def list_jobs(request: Request, caller: _Caller) -> JobList:
    jobs: JobStore = request.app.state.jobs
    return JobList(data=[Job.of(record) for record in jobs.all(caller)])


@router.get(
    "/jobs/{job_id}",
    summary="Get a job, with its progress or result",
    responses=error_responses(404),
    response_model=Job,
)
def retrieve_job(request: Request, job_id: str, caller: _Caller) -> Response:
    jobs: JobStore = request.app.state.jobs
    record = jobs.get(job_id, caller)
    job = Job.of(record)
    if record.status != "completed":
        return JSONResponse(job.model_dump(exclude_none=True))
    transcript = jobs.transcript(record)
    job.shortened = transcript.shortened or None
    # The result may be 10 MB, and is JSON already.
    result = _rendered(transcript, record.request)
    content = f'{job.model_dump_json(exclude_none=True)[:-1]},"result":{result}}}'
    response = Response(content, media_type="application/json")
    formats.add_shortened(response, transcript.shortened)
    return response


def _rendered(transcript: Transcript, job_request: JobRequest) -> str:
    """The response that the request would have got, as JSON."""
    response_format = _FORMAT.validate_python(job_request.response_format)
    content = formats.render(transcript, response_format, _GRANULARITIES.validate_python(job_request.granularities))
    return content if formats.is_json(response_format) else json.dumps(content)


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job, or delete a finished one",
    responses=error_responses(404),
    response_model_exclude_none=True,
)
def cancel_job(request: Request, job_id: str, caller: _Caller) -> Job:
    jobs: JobStore = request.app.state.jobs
    return Job.of(jobs.cancel(job_id, caller))
