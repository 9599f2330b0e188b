"""Jobs: what a worker needs to do one, how far it is, and what came of it.

Everything about a job is in huey's storage, but its audio, which lies in the data folder under the job's id; huey hands
the ids to whichever worker is free. Several servers share jobs when they share both.
"""

import logging
import shutil
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, TypeAdapter

from whisper_api import shares, upload_limits
from whisper_api.engine import Options, Stage, Transcript
from whisper_api.errors import ApiError, Error
from whisper_api.formats import Format, Granularity, render
from whisper_api.request_log import Entry, write_job
from whisper_api.settings import Settings

if TYPE_CHECKING:
    from huey import Huey

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]

_logger = logging.getLogger("whisper_api")

_UNFINISHED = ("queued", "in_progress")

# A recording whose worker dies takes the next one along: after so many the job has failed.
_MOST_ATTEMPTS = 3

# A worker says every few seconds that it is still there; a job of one that did not for so long is given to another.
LEASE_SECONDS = 30


@dataclass(frozen=True)
class Order:
    """What a client asked for. `owner` is the client's name, None where nobody told it."""

    options: Options
    response_format: Format
    granularities: Sequence[Granularity]
    request_id: str
    owner: str | None = None


class _Record(BaseModel):
    """A job as it is stored, written by one worker at a time. Times are in seconds since the epoch."""

    order: Order
    created: float
    status: Status = "queued"
    stage: Stage | None = None
    progress: float = 0.0
    attempts: int = 0
    started: float | None = None
    finished: float | None = None
    error: Error | None = None

    def is_seen_by(self, caller: str | None) -> bool:
        return caller is None or caller == self.order.owner


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


class JobStore:
    """The jobs of all servers that share a storage. Its methods block; any thread may call them.

    Where a method takes a `caller`, the jobs of others do not exist; to None all do.

    Raises OSError when the data folder cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_folder / "jobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._limit = settings.job_limit
        self._ttl = settings.job_ttl
        self.huey = _storage(settings)
        self._task: Any = None
        # Makes reading and writing a record one step, and admitting a job too.
        self._lock = threading.RLock()
        self._arriving: Counter[str | None] = Counter()

    def perform_with(self, perform: Callable[[str], None]) -> None:
        """Says what a worker does with the id of a job."""
        self._task = self.huey.task(name="perform")(perform)

    def add(self, audio: Path, order: Order) -> Job:
        """A new job for a copy of a file. Raises ApiError 429 when there are too many, OSError without disk space."""
        upload_limits.refuse_full_disk(self._folder, audio.stat().st_size)
        self._admit(order.owner)
        try:
            return self._added(uuid.uuid4().hex, audio, order)
        finally:
            with self._lock:
                self._arriving[order.owner] -= 1

    def _admit(self, owner: str | None) -> None:
        """Counts a job that is being added. Raises ApiError 429."""
        with self._lock:
            held = Counter(record.order.owner for record in self._records().values() if record.status in _UNFINISHED)
            held += self._arriving
            match shares.refusal(held, owner, self._limit):
                case "everybody":
                    message = f"{held.total()} jobs of all clients are waiting or running already. Try again later."
                    raise ApiError(429, message, code="too_many_jobs", retry_after=60)
                case "owner":
                    message = (
                        f"{held[owner]} of your jobs are waiting or running already, the most that one client may have "
                        "at the moment: the rest is for others. Try again when some are finished."
                    )
                    raise ApiError(429, message, code="too_many_jobs", retry_after=60)
            self._arriving[owner] += 1

    def _added(self, job_id: str, audio: Path, order: Order) -> Job:
        self._place(job_id).mkdir()
        try:
            # The kernel copies it. An upload cannot be linked: `tempfile` opens its unnamed files with O_EXCL, which
            # forbids that (open(2), O_TMPFILE).
            shutil.copyfile(audio, self.audio(job_id))
            record = _Record(order=order, created=time.time())
            self._put(job_id, record)
            self._enqueue(job_id)
        except BaseException:
            self._forget(job_id)
            raise
        return _shown(job_id, record)

    def get(self, job_id: str, caller: str | None = None) -> Job:
        """A job with its result. Raises ApiError 404."""
        record = self._known(job_id, caller)
        if record.status != "completed":
            return _shown(job_id, record)
        stored = self.huey.get(_key(job_id, "transcript"), peek=True)
        transcript = TypeAdapter(Transcript).validate_json(stored)
        result = render(transcript, record.order.response_format, record.order.granularities)
        return _shown(job_id, record).model_copy(update={"result": result, "shortened": transcript.shortened or None})

    def all(self, caller: str | None = None) -> list[Job]:
        """The jobs without their results, the newest first."""
        jobs = [_shown(job_id, record) for job_id, record in self._records().items() if record.is_seen_by(caller)]
        return sorted(jobs, key=lambda job: job.created_at, reverse=True)

    def counts(self) -> dict[str, int]:
        """Number of jobs by status, also of those that no job has."""
        counted = Counter(record.status for record in self._records().values())
        return {status: counted[status] for status in ("queued", "in_progress", "completed", "failed", "cancelled")}

    def unfinished(self) -> int:
        return sum(record.status in _UNFINISHED for record in self._records().values())

    def cancel(self, job_id: str, caller: str | None = None) -> Job:
        """Cancels a job that is not finished, forgets one that is.

        Raises ApiError 404, OSError when the recording cannot be deleted: the job is kept then.
        """
        record = self._known(job_id, caller)
        if record.status in _UNFINISHED:
            self.huey.put(_key(job_id, "cancelled"), time.time())
            self.audio(job_id).unlink(missing_ok=True)
            return _shown(job_id, self._known(job_id, caller))
        self._forget(job_id)
        return _shown(job_id, record)

    def audio(self, job_id: str) -> Path:
        return self._place(job_id) / "audio"

    def order(self, job_id: str) -> Order | None:
        """What a job asks for, None when there is no such job any more, or none to be done."""
        record = self._record(job_id)
        return record.order if record is not None and record.status in _UNFINISHED else None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether nobody wants a job any more; its client may have forgotten it already."""
        return self.huey.get(_key(job_id, "cancelled"), peek=True) is not None or not self._is_kept(job_id)

    def start(self, job_id: str) -> None:
        self.keep(job_id)
        with self._lock:
            record = self._record(job_id)
            attempts = 1 + (record.attempts if record else 0)
            self._update(
                job_id,
                status="in_progress",
                started=time.time(),
                stage="decoding",
                progress=0.0,
                attempts=attempts,
            )

    def keep(self, job_id: str) -> None:
        """Says that a job's worker is alive."""
        with self._lock:
            if self._is_kept(job_id):
                self.huey.put(_key(job_id, "lease"), time.time())

    def leave(self, job_id: str) -> None:
        """A worker is done with a job: deletes what it wrote after a client of another server forgot the job."""
        if not self._is_kept(job_id):
            self._forget(job_id)

    def advance(self, job_id: str, stage: Stage, progress: float) -> None:
        self._update(job_id, stage=stage, progress=progress)

    def complete(self, job_id: str, transcript: Transcript) -> None:
        with self._lock:
            if not self._is_kept(job_id):
                return
            self.huey.put(_key(job_id, "transcript"), TypeAdapter(Transcript).dump_json(transcript))
            self._update(job_id, status="completed", progress=1.0, finished=time.time())
        self.audio(job_id).unlink(missing_ok=True)

    def fail(self, job_id: str, error: Error) -> None:
        self._update(job_id, status="failed", error=error, finished=time.time())
        self.audio(job_id).unlink(missing_ok=True)

    def give_back(self, job_id: str) -> None:
        """Lets a job whose worker stops wait for another one; this attempt does not count."""
        record = self._record(job_id)
        self._offer(job_id, attempts=max(0, record.attempts - 1) if record else 0)

    def tend(self) -> None:
        """Gives jobs whose worker is gone to another one, and forgets those that were kept long enough."""
        now = time.time()
        waiting = {task.args[0] for task in self.huey.pending()}
        for job_id, record in self._records().items():
            ended = record.finished or (record.created if record.status == "cancelled" else None)
            if ended is not None and ended + self._ttl < now:
                try:
                    self._forget(job_id)
                except OSError as error:  # the others are not to wait for this one
                    _logger.error("The recording of job %s cannot be deleted: %s", job_id, error)
            elif record.status in _UNFINISHED and job_id not in waiting and self._is_lost(job_id, record, now):
                self._retry(job_id, record)

    def _retry(self, job_id: str, record: _Record) -> None:
        """Offers a job whose worker is gone to another one, or fails it when that has happened too often."""
        if record.attempts < _MOST_ATTEMPTS:
            self._offer(job_id)
            return
        message = (
            f"The server ended {record.attempts} times while it worked on this recording, probably for lack of memory. "
            "Send the recording in parts, or ask the operator to look into the server's log."
        )
        self.fail(job_id, Error(message=message, type="server_error", param="file", code="too_many_attempts"))
        write_job(job_id, "failed", Entry(record.order.request_id, model=record.order.options.model))

    def _offer(self, job_id: str, **changes: object) -> None:
        """Lets a job wait for a worker again."""
        self._update(job_id, status="queued", progress=0.0, started=None, **changes)
        self.keep(job_id)
        self._enqueue(job_id)
        self.huey.delete(_key(job_id, "lost"))

    def _is_lost(self, job_id: str, record: _Record, now: float) -> bool:
        """Whether no worker has the job, seen by this server first.

        One that is killed between taking an id and saying so leaves a job that was never begun.
        """
        lease = self.huey.get(_key(job_id, "lease"), peek=True) or record.created
        if lease + LEASE_SECONDS >= now:
            return False
        mark = _key(job_id, "lost")
        seen = self.huey.get(mark, peek=True)
        if seen is not None and seen + LEASE_SECONDS < now:
            # Whoever saw it first did not offer it: the disk was full, or that server was killed as well.
            self.huey.delete(mark)
        first: bool = self.huey.put_if_empty(mark, now)
        return first

    def _enqueue(self, job_id: str) -> None:
        self._task(job_id)

    def _place(self, job_id: str) -> Path:
        return self._folder / job_id

    def _put(self, job_id: str, record: _Record) -> None:
        self.huey.put(_key(job_id, "record"), record.model_dump_json())

    def _update(self, job_id: str, **changes: object) -> None:
        with self._lock:
            stored = self.huey.get(_key(job_id, "record"), peek=True)
            if stored is not None and self._is_kept(job_id):
                self._put(job_id, _Record.model_validate_json(stored).model_copy(update=changes))

    def _is_kept(self, job_id: str) -> bool:
        """Whether there is such a job, finished or not: its folder is the first thing to be deleted."""
        return self._place(job_id).exists()

    def _record(self, job_id: str) -> _Record | None:
        stored = self.huey.get(_key(job_id, "record"), peek=True)
        if stored is None:
            return None
        record = _Record.model_validate_json(stored)
        if record.status in _UNFINISHED and self.is_cancelled(job_id):
            return record.model_copy(update={"status": "cancelled"})
        return record

    def _known(self, job_id: str, caller: str | None) -> _Record:
        record = self._record(job_id)
        if record is None or not record.is_seen_by(caller):
            raise ApiError(404, "There is no such job, or no longer.", param="job_id", code="job_not_found")
        return record

    def _records(self) -> Mapping[str, _Record]:
        ids = [path.name for path in self._folder.iterdir()]
        return {job_id: record for job_id in ids if (record := self._record(job_id)) is not None}

    def _forget(self, job_id: str) -> None:
        # The recording first, and not in silence: while it cannot be deleted the job stays listed, and is tried again.
        with self._lock:
            with suppress(FileNotFoundError):  # another server with the same folder may have been quicker
                shutil.rmtree(self._place(job_id))
            for kind in ("record", "transcript", "cancelled", "lease", "lost"):
                self.huey.delete(_key(job_id, kind))


def _storage(settings: Settings) -> "Huey":
    if settings.job_store:
        from huey import RedisHuey

        return RedisHuey("whisper", url=settings.job_store)
    # huey imports redis wherever it is installed, and that takes a third of a server's start.
    sys.modules.setdefault("redis", None)  # type: ignore[arg-type]  # the documented way to forbid an import
    try:
        from huey import SqliteHuey
    finally:
        if sys.modules["redis"] is None:
            del sys.modules["redis"]
    # fsync: a job that was accepted outlives a power cut.
    return SqliteHuey("whisper", filename=str(settings.data_folder / "jobs.sqlite3"), fsync=True)


def _key(job_id: str, kind: str) -> str:
    return f"job.{job_id}.{kind}"


def _shown(job_id: str, record: _Record) -> Job:
    return Job(
        id=job_id,
        status=record.status,
        stage=record.stage if record.status == "in_progress" else None,
        progress=round(record.progress, 4),
        model=record.order.options.model,
        created_at=int(record.created),
        started_at=None if record.started is None else int(record.started),
        finished_at=None if record.finished is None else int(record.finished),
        error=record.error,
    )
