"""What is known of a job: what was asked for, what is stored, and what a client is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from whisper_server.http.errors import Error
from whisper_server.http.formats import Format
from whisper_server.http.json_pieces import Granularity
from whisper_server.speech.engine import Stage
from whisper_server.speech.options import Options

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]

# Share of the memory limit above which a server that ended without a word was killed for lack of memory, most probably.
_STARVED = 0.8

UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")


@dataclass(frozen=True)
class Order:
    """What a client asked for. `owner` is the client's name, None where nobody told it."""

    options: Options
    response_format: Format
    granularities: Sequence[Granularity]
    request_id: str
    owner: str | None = None


@dataclass(frozen=True)
class Result:
    """What came of a job: `content` is JSON, a string where the response format is text. `shortened` as in Job."""

    content: str
    shortened: Sequence[str]


class Record(BaseModel):
    """A job as it is stored, written by one worker at a time. Times are in seconds since the epoch.

    Of an attempt: `stage`, `progress` over all stages, `position` within the stage in seconds of the recording where
    that is known, `memory`, the highest share of the memory limit that was seen in use, and `error`, for which it was
    given up. `alone` says that the next attempt is to have the server's memory for itself.
    """

    order: Order
    created: float
    status: Status = "queued"
    stage: Stage | None = None
    progress: float = 0.0
    position: float = 0.0
    memory: float = 0.0
    attempts: int = 0
    alone: bool = False
    started: float | None = None
    finished: float | None = None
    error: Error | None = None

    def is_seen_by(self, caller: str | None) -> bool:
        return caller is None or caller == self.order.owner

    @property
    def starved(self) -> bool:
        return self.memory >= _STARVED

    def failure(self) -> Error:
        """Why a job whose worker ended too often is not tried again."""
        if not self.starved:
            message = (
                f"The server ended {self.attempts} times while it worked on this recording. Send the recording in "
                "parts, or ask the operator to look into the server's log."
            )
            return Error(message=message, type="server_error", param="file", code="too_many_attempts")
        parts = "in parts"
        # Half of what it came to needs no more memory than that did, whatever is done with it afterwards.
        if (minutes := int(self.position / 60)) >= 2:
            parts = f"in parts of at most {minutes // 2} minutes: it came to minute {minutes}"
        message = (
            f"The server ran out of memory while it worked on this recording, {self.attempts} times in all. Send it "
            f"{parts}. Or ask the operator for more memory."
        )
        return Error(message=message, type="server_error", param="file", code="out_of_memory")

    def shown(self, job_id: str) -> "Job":
        """The job without its result."""
        return Job(
            id=job_id,
            status=self.status,
            stage=self.stage if self.status == "in_progress" else None,
            progress=round(self.progress, 4),
            model=self.order.options.model,
            created_at=int(self.created),
            started_at=None if self.started is None else int(self.started),
            finished_at=None if self.finished is None else int(self.finished),
            error=self.error if self.status == "failed" else None,
        )


class Job(BaseModel):
    """A job. Times are in seconds since the epoch.

    `stage` says what is being done, while it is in progress: `decoding` the file, telling `speakers` apart, writing
    `text`, and `alignment` of words with the sound. `progress` is the share of all stages that is done, between 0 and
    1; it begins again at 0 when a job is tried again after its server ended. `result` is what the request would have
    been answered: an object, or the text of `text`, `srt` and `vtt`. `shortened` names the form fields of which not
    everything was used, where there are such.
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

    def with_result(self, result: Result) -> str:
        """The JSON of the job with its result, which may be 10 MB, and is JSON already."""
        job = self.model_copy(update={"shortened": result.shortened or None})
        return f'{job.model_dump_json(exclude_none=True)[:-1]},"result":{result.content}}}'
