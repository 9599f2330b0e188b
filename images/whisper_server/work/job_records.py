"""A job as it is stored: the request, its progress, and why it failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whisper_server.speech.engine import Stage
from whisper_server.speech.options import Options

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]

STATUSES: tuple[Status, ...] = ("queued", "in_progress", "completed", "failed", "cancelled")
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")

# A server that died while it used more than this share of its memory limit was probably killed for lack of memory.
STARVED = 0.8


@dataclass(frozen=True)
class JobRequest:
    """What a client requested. `owner` is the client's name, None for a caller that bypasses the reverse proxy.

    `response_format` and `granularities` determine the response; only `http` reads them.
    """

    options: Options
    response_format: str
    granularities: Sequence[str]
    request_id: str
    owner: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in the terms of OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


@dataclass(frozen=True)
class Record:
    """A job without its transcript. Times are in seconds since the epoch.

    While a worker has the job, `claim` identifies its attempt, and `lease` is the time after which another worker may
    take the job; a worker whose claim has been replaced has lost it. The current or last attempt's values are `stage`,
    `progress` over all stages, `position` in the recording in seconds if the stage has one, `memory`, the highest
    measured share of the memory limit, and `error`, which ended it. With `alone`, all unused models are unloaded before
    the next attempt.
    """

    id: str
    request: JobRequest
    created: float
    status: Status = "queued"
    attempts: int = 0
    alone: bool = False
    claim: str | None = None
    lease: float | None = None
    stage: Stage | None = None
    progress: float = 0.0
    position: float = 0.0
    memory: float = 0.0
    started: float | None = None
    finished: float | None = None
    error: Failure | None = None

    @property
    def starved(self) -> bool:
        """Whether the attempt probably ran out of memory."""
        return self.memory >= STARVED

    def failure(self) -> Failure:
        """The error of a job whose worker died too often."""
        if not self.starved:
            message = (
                f"The server ended {self.attempts} times while it worked on this recording. Send the recording in "
                "parts, or ask the administrator to check the server's log."
            )
            return Failure(message, "server_error", "file", "too_many_attempts")
        parts = "in parts"
        # Half of the processed length needs at most the memory that was used, whatever stages follow.
        if (minutes := int(self.position / 60)) >= 2:
            parts = f"in parts of at most {minutes // 2} minutes: it came to minute {minutes}"
        message = (
            f"The server ran out of memory while it worked on this recording, {self.attempts} times in all. Send it "
            f"{parts}. Or ask the administrator for more memory."
        )
        return Failure(message, "server_error", "file", "out_of_memory")
