"""Jobs by the rules: how many there may be, who sees them, how often one is attempted, and how long it is kept.

Several servers share jobs when they share the data folder; each worker claims one job at a time.
"""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from whisper_server.process.settings import Settings
from whisper_server.speech.transcript import Transcript
from whisper_server.work import shares
from whisper_server.work.disk_space import has_space, is_full_disk
from whisper_server.work.job_errors import JobNotFound, StorageFull, TooManyJobs
from whisper_server.work.job_records import Failure, JobRequest, Record, Status
from whisper_server.work.job_storage import JobStorage
from whisper_server.work.progress import Progress

_logger = logging.getLogger("whisper_server")

# A recording whose worker dies takes the next one along: after so many the job has failed.
_MOST_ATTEMPTS = 3

# A worker says every few seconds that it is alive; a job of one that did not for so long is given to another.
LEASE_SECONDS = 30

# A folder without a job, in which nothing was written for so long, is one that a killed server left.
ABANDONED_SECONDS = 3600


class JobStore:
    """The jobs of all servers that share a data folder. Its methods block; any thread may call them.

    Where a method takes a `caller`, the jobs of others do not exist; to None all do. A method that takes an `attempt`,
    as `claim` returned it, does nothing once the job was cancelled, deleted or given to another worker.

    What changes a job raises StorageFull when the disk is full. Raises OSError when the data folder cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self._storage = JobStorage(settings)
        self._limit = settings.job_limit
        self._ttl = settings.job_ttl
        self._lock = threading.Lock()
        self._arriving: Counter[str | None] = Counter()
        # Set when a job may have begun to wait: a worker of this process need not find out by itself.
        self.arrival = threading.Event()

    def close(self) -> None:
        self._storage.close()

    # For clients

    def add(self, audio: Path, request: JobRequest) -> Record:
        """A new job for a copy of a file. Raises TooManyJobs."""
        if not has_space(self._storage.folder, audio.stat().st_size):
            raise StorageFull
        self._admit(request.owner)
        try:
            return self._added(Record(uuid.uuid4().hex, request, created=time.time()), audio)
        finally:
            with self._lock:
                self._arriving[request.owner] -= 1

    def _admit(self, owner: str | None) -> None:
        """Counts a job that is being added. Raises TooManyJobs."""
        with self._lock:
            held = Counter(self._storage.unfinished_by_owner()) + self._arriving
            match shares.refusal(held, owner, self._limit):
                case "everybody":
                    raise TooManyJobs(
                        f"{held.total()} jobs of all clients are waiting or running already. Try again later."
                    )
                case "owner":
                    raise TooManyJobs(
                        f"{held[owner]} of your jobs are waiting or running already, the most that one client may have "
                        "at the moment: the rest is for others. Try again when some are finished."
                    )
            self._arriving[owner] += 1

    def _added(self, record: Record, audio: Path) -> Record:
        try:
            self._storage.add(audio, record)
        except BaseException as error:
            with suppress(Exception):  # leftovers are deleted later
                self._storage.forget(record.id)
            if is_full_disk(error):
                raise StorageFull from error
            raise
        self.arrival.set()
        return record

    def get(self, job_id: str, caller: str | None = None) -> Record:
        """Raises JobNotFound."""
        record = self._storage.record(job_id)
        if record is None or caller not in (None, record.request.owner):
            raise JobNotFound
        return record

    def transcript(self, record: Record) -> Transcript:
        """The transcript of a completed job. Raises JobNotFound when it was deleted meanwhile."""
        transcript = self._storage.transcript(record.id)
        if transcript is None:
            raise JobNotFound
        return transcript

    def all(self, caller: str | None = None) -> list[Record]:
        """The newest first."""
        return self._storage.records(caller)

    def counts(self) -> dict[Status, int]:
        """Number of jobs by status, also of those that no job has."""
        return self._storage.counts()

    def oldest_waiting(self) -> float:
        """Age of the oldest job that waits, in seconds; 0 without one."""
        created = self._storage.oldest_waiting()
        return 0.0 if created is None else max(0.0, time.time() - created)

    def unfinished(self) -> int:
        return sum(self._storage.unfinished_by_owner().values())

    def cancel(self, job_id: str, caller: str | None = None) -> Record:
        """Cancels a job that is not finished, deletes one that is.

        Raises JobNotFound, and OSError when the recording cannot be deleted: that is tried again.
        """
        self.get(job_id, caller)
        if self._storage.cancel(job_id):
            self._storage.delete_audio(job_id)
            return self.get(job_id, caller)
        record = self.get(job_id, caller)
        self._storage.forget(job_id)
        return record

    # For workers

    def claim(self) -> Record | None:
        """Begins an attempt at the job that waits first; None when no job waits. Call `renew` every few seconds."""
        now = time.time()
        return self._storage.claim(now, now + LEASE_SECONDS)

    def audio(self, record: Record) -> Path:
        return self._storage.audio(record.id)

    def is_wanted(self, attempt: Record) -> bool:
        return self._storage.holds(attempt)

    def renew(self, attempt: Record) -> None:
        self._storage.renew(attempt, time.time() + LEASE_SECONDS)

    def advance(self, attempt: Record, progress: Progress) -> None:
        self._storage.advance(attempt, progress)

    def note_memory(self, attempt: Record, share: float) -> None:
        """Keeps which share of the memory limit was in use: it tells afterwards what the kernel killed a server for."""
        self._storage.note_memory(attempt, share)

    def complete(self, attempt: Record, transcript: Transcript) -> bool:
        """Keeps the transcript. Whether the job was still the attempt's."""
        return self._storage.complete(attempt, time.time(), transcript) and self._finished(attempt)

    def fail(self, attempt: Record, error: Failure) -> bool:
        return self._storage.fail(attempt, time.time(), error) and self._finished(attempt)

    def _finished(self, attempt: Record) -> bool:
        with _reported(attempt.id):  # it is tried again
            self._storage.delete_audio(attempt.id)
        return True

    def postpone(self, attempt: Record, error: Failure) -> None:
        """Lets a job be tried again when its lease has ended; it fails with the error when that was tried too often."""
        self._storage.note_error(attempt, error)

    def give_back(self, attempt: Record) -> None:
        """Lets a job whose worker stops wait for another one; this attempt does not count."""
        self._storage.queue(attempt, attempt.attempts - 1, attempt.alone)

    # For whoever looks after them

    def tend(self) -> list[Record]:
        """Gives jobs of dead workers to others, and deletes what was kept long enough; the jobs that failed thereby."""
        now = time.time()
        failed = []
        for lost in self._storage.expired(now):
            with _reported(lost.id):
                if self._retry(lost):
                    failed.append(lost)
        ends = self._storage.ends()
        for job_id in self._storage.ids() | ends.keys():
            with _reported(job_id):
                self._clean(job_id, ends, now)
        return failed

    def _retry(self, lost: Record) -> bool:
        """Lets the job of a dead worker wait again, or fails it when that has happened too often."""
        if lost.attempts >= _MOST_ATTEMPTS:
            return self.fail(lost, lost.error or lost.failure())
        self._storage.queue(lost, lost.attempts, lost.alone or lost.starved)
        self.arrival.set()
        return False

    def _clean(self, job_id: str, ends: Mapping[str, float | None], now: float) -> None:
        ended = ends.get(job_id)
        if job_id not in ends:
            # Of a job that is being added or deleted, or of a server that was killed then.
            if self._storage.last_written(job_id) + ABANDONED_SECONDS < now:
                self._storage.forget(job_id)
        elif ended is not None:
            if ended + self._ttl < now:
                self._storage.forget(job_id)
            else:
                # A server that was killed at the end of a job has left it.
                self._storage.delete_audio(job_id)


@contextmanager
def _reported(job_id: str) -> Iterator[None]:
    """Logs what goes wrong with one job, a full disk for example: the others are not to wait for it."""
    try:
        yield
    except Exception as error:
        _logger.error("Job %s cannot be tended: %s", job_id, error)
