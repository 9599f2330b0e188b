"""A job as the server keeps it: what was asked for, how far it is, and why it failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whisper_server.speech.engine import Stage
from whisper_server.speech.options import Options

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]

STATUSES: tuple[Status, ...] = ("queued", "in_progress", "completed", "failed", "cancelled")
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")

# A server that ended without notice above this share of its memory limit was most probably killed for lack of memory.
STARVED = 0.8


@dataclass(frozen=True)
class JobRequest:
    """What a client asked for. `owner` is the client's name, None for a caller that bypasses the reverse proxy.

    `response_format` and `granularities` say how to present the transcript; only the HTTP side reads them.
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

    While a worker has the job, `claim` is the name of its attempt, and `lease` the time until which others keep off; a
    worker whose claim is no longer the job's has lost it. Of the current or last attempt: `stage`, `progress` over all
    stages, `position` in the recording in seconds where the stage has one, `memory`, the highest share of the memory
    limit that was seen in use, and `error`, for which it was given up. `alone` says that the next attempt is to have
    the server's memory for itself.
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
        return self.memory >= STARVED

    def failure(self) -> Failure:
        """Why a job whose worker died too often is not attempted again."""
        if not self.starved:
            message = (
                f"The server ended {self.attempts} times while it worked on this recording. Send the recording in "
                "parts, or ask the operator to look into the server's log."
            )
            return Failure(message, "server_error", "file", "too_many_attempts")
        parts = "in parts"
        # Half of what it came to needs no more memory than that did, whatever is done with it afterwards.
        if (minutes := int(self.position / 60)) >= 2:
            parts = f"in parts of at most {minutes // 2} minutes: it came to minute {minutes}"
        message = (
            f"The server ran out of memory while it worked on this recording, {self.attempts} times in all. Send it "
            f"{parts}. Or ask the operator for more memory."
        )
        return Failure(message, "server_error", "file", "out_of_memory")
