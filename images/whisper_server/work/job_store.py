"""Jobs: what a worker needs to do one, how far it is, and what came of it.

huey hands the ids of jobs to whichever worker is free. Several servers share jobs when they share their storage.
"""

import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from whisper_server.http import upload_limits
from whisper_server.http.errors import ApiError, Error
from whisper_server.http.formats import is_json, render
from whisper_server.process.log_entry import Entry, write_job
from whisper_server.process.settings import Settings
from whisper_server.speech.transcript import Transcript
from whisper_server.work import shares
from whisper_server.work.job_records import UNFINISHED, Job, Order, Record, Result
from whisper_server.work.job_storage import JobStorage
from whisper_server.work.progress import Progress

_logger = logging.getLogger("whisper_server")

# A recording whose worker dies takes the next one along: after so many the job has failed.
_MOST_ATTEMPTS = 3

# A worker says every few seconds that it is still there; a job of one that did not for so long is given to another.
LEASE_SECONDS = 30

# A folder without a record, in which nothing was written for so long, is one that a killed server left.
ABANDONED_SECONDS = 3600


class JobStore:
    """The jobs of all servers that share a storage. Its methods block; any thread may call them.

    Where a method takes a `caller`, the jobs of others do not exist; to None all do.

    Raises OSError when the data folder cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self._storage = JobStorage(settings)
        self._limit = settings.job_limit
        self._ttl = settings.job_ttl
        self.huey = self._storage.huey
        self._task: Any = None
        self._lock = self._storage.lock
        self._arriving: Counter[str | None] = Counter()

    def perform_with(self, perform: Callable[[str], None]) -> None:
        """Says what a worker does with the id of a job."""
        self._task = self.huey.task(name="perform")(perform)

    def add(self, audio: Path, order: Order) -> Job:
        """A new job for a copy of a file. Raises ApiError 429 when there are too many, OSError without disk space."""
        upload_limits.refuse_full_disk(self._storage.folder, audio.stat().st_size)
        self._admit(order.owner)
        try:
            return self._added(uuid.uuid4().hex, audio, order)
        finally:
            with self._lock:
                self._arriving[order.owner] -= 1

    def _admit(self, owner: str | None) -> None:
        """Counts a job that is being added. Raises ApiError 429."""
        with self._lock:
            held = Counter(
                record.order.owner for record in self._storage.records().values() if record.status in UNFINISHED
            )
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
        record = Record(order=order, created=time.time())
        try:
            self._storage.add(job_id, audio, record)
            self._enqueue(job_id)
        except BaseException:
            with suppress(Exception):  # what is left then is deleted later
                self._storage.forget(job_id)
            raise
        return record.shown(job_id)

    def get(self, job_id: str, caller: str | None = None) -> Job:
        """A job without its result. Raises ApiError 404."""
        return self._known(job_id, caller).shown(job_id)

    def result(self, job_id: str, caller: str | None = None) -> Result:
        """The result of a job that is completed. Raises ApiError 404."""
        order = self._known(job_id, caller).order
        transcript = self._storage.transcript(job_id)
        if transcript is None:  # it was forgotten meanwhile
            raise _unknown()
        content = render(transcript, order.response_format, order.granularities)
        return Result(content if is_json(order.response_format) else json.dumps(content), transcript.shortened)

    def all(self, caller: str | None = None) -> list[Job]:
        """The jobs without their results, the newest first."""
        jobs = [record.shown(job_id) for job_id, record in self._storage.records().items() if record.is_seen_by(caller)]
        return sorted(jobs, key=lambda job: job.created_at, reverse=True)

    def counts(self) -> dict[str, int]:
        """Number of jobs by status, also of those that no job has."""
        counted = Counter(record.status for record in self._storage.records().values())
        return {status: counted[status] for status in ("queued", "in_progress", "completed", "failed", "cancelled")}

    def unfinished(self) -> int:
        return sum(record.status in UNFINISHED for record in self._storage.records().values())

    def cancel(self, job_id: str, caller: str | None = None) -> Job:
        """Cancels a job that is not finished, forgets one that is.

        Raises ApiError 404, OSError when the recording cannot be deleted: that is tried again.
        """
        with self._lock:
            record = self._known(job_id, caller)
            if record.status not in UNFINISHED:
                self._storage.forget(job_id)
                return record.shown(job_id)
            self._storage.set_mark(job_id, "cancelled", time.time())
        self._storage.audio(job_id).unlink(missing_ok=True)
        return self._known(job_id, caller).shown(job_id)

    def audio(self, job_id: str) -> Path:
        return self._storage.audio(job_id)

    def order(self, job_id: str) -> Order | None:
        """What a job asks for, None when there is no such job any more, or none to be done."""
        record = self._storage.record(job_id)
        return record.order if record is not None and record.status in UNFINISHED else None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether nobody wants a job any more; its client may have forgotten it already."""
        return self._storage.is_cancelled(job_id)

    def start(self, job_id: str) -> bool:
        """An attempt begins; whether it is to have the server's memory for itself."""
        self.keep(job_id)
        with self._lock:
            record = self._storage.record(job_id)
            attempts = 1 + (record.attempts if record else 0)
            fresh = {
                "started": time.time(),
                "stage": "decoding",
                "progress": 0.0,
                "position": 0.0,
                "memory": 0.0,
                "error": None,
            }
            self._storage.update(job_id, status="in_progress", attempts=attempts, **fresh)
        return record is not None and record.alone

    def keep(self, job_id: str) -> None:
        """Says that a job's worker is alive."""
        with self._lock:
            if self._storage.holds(job_id):
                self._storage.set_mark(job_id, "lease", time.time())

    def note_memory(self, job_id: str, share: float) -> None:
        """Says which share of the memory limit was in use; it tells afterwards what the kernel killed a server for."""
        self._storage.update(job_id, memory=share)

    def leave(self, job_id: str) -> None:
        """A worker is done with a job: deletes what it wrote after a client of another server forgot the job."""
        if not self._storage.holds(job_id):
            self._storage.forget(job_id)

    def advance(self, job_id: str, progress: Progress) -> None:
        """Keeps how far an attempt is."""
        self._storage.update(job_id, stage=progress.stage, progress=progress.share, position=progress.position)

    def complete(self, job_id: str, transcript: Transcript) -> None:
        """Keeps a job's transcript, unless the job was cancelled at the last moment."""
        with self._lock:
            if self._storage.is_cancelled(job_id):
                return
            self._storage.put_transcript(job_id, transcript)
            self._complete(job_id)
        self._storage.audio(job_id).unlink(missing_ok=True)

    def _complete(self, job_id: str) -> None:
        self._storage.update(job_id, status="completed", progress=1.0, finished=time.time())

    def fail(self, job_id: str, error: Error) -> None:
        with self._lock:
            if self._storage.is_cancelled(job_id):
                return
            self._storage.update(job_id, status="failed", error=error, finished=time.time())
        self._storage.audio(job_id).unlink(missing_ok=True)

    def postpone(self, job_id: str, error: Error) -> None:
        """Lets a job be tried again when its lease has ended; it fails with the error when that was tried too often."""
        self._storage.update(job_id, error=error)

    def give_back(self, job_id: str) -> None:
        """Lets a job whose worker stops wait for another one; this attempt does not count."""
        record = self._storage.record(job_id)
        self._offer(job_id, attempts=max(0, record.attempts - 1) if record else 0)

    def tend(self) -> None:
        """Gives jobs whose worker is gone to another one, and deletes what was kept long enough or nobody needs."""
        now = time.time()
        waiting = {task.args[0] for task in self.huey.pending()}
        for job_id in self._storage.ids():
            try:
                self._tend(job_id, waiting, now)
            except Exception as error:  # a full disk, for one: the others are not to wait for this one
                _logger.error("Job %s cannot be tended: %s", job_id, error)

    def _tend(self, job_id: str, waiting: Collection[str], now: float) -> None:
        record = self._storage.record(job_id)
        if record is None:
            if self._storage.last_written(job_id) + ABANDONED_SECONDS < now:
                self._storage.forget(job_id)
        elif record.status in UNFINISHED:
            if job_id not in waiting and self._is_lost(job_id, record, now):
                self._retry(job_id, record)
        elif (record.finished or record.created) + self._ttl < now:
            self._storage.forget(job_id)
        else:
            # A server that was killed at the end of a job has left it.
            self._storage.audio(job_id).unlink(missing_ok=True)

    def _retry(self, job_id: str, record: Record) -> None:
        """Offers a job whose worker is gone to another one, or fails it when that has happened too often."""
        if self._storage.transcript(job_id) is not None:
            # Its worker was gone after all the work was done.
            self._complete(job_id)
            self._storage.audio(job_id).unlink(missing_ok=True)
            return
        if record.attempts < _MOST_ATTEMPTS:
            self._offer(job_id, alone=record.alone or record.starved)
            return
        self.fail(job_id, record.error or record.failure())
        write_job(job_id, "failed", Entry(record.order.request_id, model=record.order.options.model))

    def _offer(self, job_id: str, **changes: object) -> None:
        """Lets a job wait for a worker again."""
        self._storage.update(job_id, status="queued", progress=0.0, stage=None, started=None, **changes)
        self.keep(job_id)
        self._enqueue(job_id)
        self._storage.delete_mark(job_id, "lost")

    def _is_lost(self, job_id: str, record: Record, now: float) -> bool:
        """Whether no worker has the job, seen by this server first.

        One that is killed between taking an id and saying so leaves a job that was never begun.
        """
        lease = self._storage.mark(job_id, "lease") or record.created
        if lease + LEASE_SECONDS >= now:
            return False
        seen = self._storage.mark(job_id, "lost")
        if seen is not None and seen + LEASE_SECONDS < now:
            # Whoever saw it first did not offer it: the disk was full, or that server was killed as well.
            self._storage.delete_mark(job_id, "lost")
        return self._storage.set_first_mark(job_id, "lost", now)

    def _enqueue(self, job_id: str) -> None:
        self._task(job_id)

    def _known(self, job_id: str, caller: str | None) -> Record:
        record = self._storage.record(job_id)
        if record is None or not record.is_seen_by(caller):
            raise _unknown()
        return record


def _unknown() -> ApiError:
    return ApiError(404, "There is no such job, or no longer.", param="job_id", code="job_not_found")
