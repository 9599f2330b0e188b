"""The rules for jobs: how many there may be, who sees them, how often one is attempted, and how long it is kept.

Servers with the same data folder share their jobs; each worker claims one job at a time.
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

# A recording may crash every worker that tries it: after this many attempts the job has failed.
_MOST_ATTEMPTS = 3

# Workers renew their leases every few seconds; after this time without a renewal the job goes to another worker.
LEASE_SECONDS = 30

# A folder without a job that was not written to for this long was left by a killed server.
ABANDONED_SECONDS = 3600


class JobStore:
    """The jobs of all servers that share a data folder. Its methods block; any thread may call them.

    To a `caller` only its own jobs exist, to None those of all. Methods that take an `attempt`, a job as `claim`
    returned it, do nothing if the job was cancelled, deleted or given to another worker.

    Methods that change a job raise StorageFull if the disk is full, and OSError if the data folder cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self._storage = JobStorage(settings)
        self._limit = settings.job_limit
        self._ttl = settings.job_ttl
        self._lock = threading.Lock()
        self._arriving: Counter[str | None] = Counter()
        # Set when a job may be waiting, so that the worker of this process need not poll.
        self.arrival = threading.Event()

    def close(self) -> None:
        """Closes the database."""
        self._storage.close()

    # For clients

    def add(self, audio: Path, request: JobRequest) -> Record:
        """Creates a job with a copy of a file. Raises TooManyJobs."""
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
        """A job. Raises JobNotFound."""
        record = self._storage.record(job_id)
        if record is None or caller not in (None, record.request.owner):
            raise JobNotFound
        return record

    def transcript(self, record: Record) -> Transcript:
        """The transcript of a completed job. Raises JobNotFound if it was deleted in the meantime."""
        transcript = self._storage.transcript(record.id)
        if transcript is None:
            raise JobNotFound
        return transcript

    def all(self, caller: str | None = None) -> list[Record]:
        """The jobs, newest first."""
        return self._storage.records(caller)

    def counts(self) -> dict[Status, int]:
        """Number of jobs by status, 0 included."""
        return self._storage.counts()

    def oldest_waiting(self) -> float:
        """Age of the oldest waiting job, in seconds; 0 without one."""
        created = self._storage.oldest_waiting()
        return 0.0 if created is None else max(0.0, time.time() - created)

    def unfinished(self) -> int:
        """Number of queued and running jobs."""
        return sum(self._storage.unfinished_by_owner().values())

    def cancel(self, job_id: str, caller: str | None = None) -> Record:
        """Cancels an unfinished job, deletes a finished one.

        Raises JobNotFound, and OSError if the recording cannot be deleted, which is retried later.
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
        """Starts an attempt at the first waiting job; None if no job waits. Call `renew` every few seconds."""
        now = time.time()
        return self._storage.claim(now, now + LEASE_SECONDS)

    def audio(self, record: Record) -> Path:
        """Path of a job's recording."""
        return self._storage.audio(record.id)

    def is_wanted(self, attempt: Record) -> bool:
        """Whether the attempt still has its job."""
        return self._storage.holds(attempt)

    def renew(self, attempt: Record) -> None:
        """Extends the lease of an attempt."""
        self._storage.renew(attempt, time.time() + LEASE_SECONDS)

    def advance(self, attempt: Record, progress: Progress) -> None:
        """Stores the progress of an attempt."""
        self._storage.advance(attempt, progress)

    def note_memory(self, attempt: Record, share: float) -> None:
        """Stores the used share of the memory limit, from which the reason is inferred if the server is killed."""
        self._storage.note_memory(attempt, share)

    def complete(self, attempt: Record, transcript: Transcript) -> bool:
        """Stores the transcript, and returns whether the attempt still had its job."""
        return self._storage.complete(attempt, time.time(), transcript) and self._finished(attempt)

    def fail(self, attempt: Record, error: Failure) -> bool:
        """Ends the job with an error, and returns whether the attempt still had it."""
        return self._storage.fail(attempt, time.time(), error) and self._finished(attempt)

    def _finished(self, attempt: Record) -> bool:
        with _reported(attempt.id):  # `tend` retries it
            self._storage.delete_audio(attempt.id)
        return True

    def postpone(self, attempt: Record, error: Failure) -> None:
        """Retries the job when its lease has expired; after the last attempt it fails with the error."""
        self._storage.note_error(attempt, error)

    def give_back(self, attempt: Record) -> None:
        """Puts a job back into the queue because its worker stops; the attempt does not count."""
        self._storage.queue(attempt, attempt.attempts - 1, attempt.alone)

    # For the maintenance thread

    def tend(self) -> list[Record]:
        """Requeues jobs of dead workers, deletes expired ones, returns those that failed after too many attempts."""
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
        """Requeues the job of a dead worker, or fails it after too many attempts; returns whether it failed."""
        if lost.attempts >= _MOST_ATTEMPTS:
            return self.fail(lost, lost.error or lost.failure())
        self._storage.queue(lost, lost.attempts, lost.alone or lost.starved)
        self.arrival.set()
        return False

    def _clean(self, job_id: str, ends: Mapping[str, float | None], now: float) -> None:
        ended = ends.get(job_id)
        if job_id not in ends:
            # The job is being added or deleted, or the server was killed while it did so.
            if self._storage.last_written(job_id) + ABANDONED_SECONDS < now:
                self._storage.forget(job_id)
        elif ended is not None:
            if ended + self._ttl < now:
                self._storage.forget(job_id)
            else:
                # Left by a server that was killed at the end of a job.
                self._storage.delete_audio(job_id)


@contextmanager
def _reported(job_id: str) -> Iterator[None]:
    """Logs errors with one job, for example a full disk, so that the others are still processed."""
    try:
        yield
    except Exception as error:
        _logger.error("Job %s cannot be tended: %s", job_id, error)
