"""The thread that processes jobs sequentially, and the maintenance thread."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from whisper_server.process import cgroup
from whisper_server.process.log_entry import Entry, write_job
from whisper_server.process.metrics import JobEnd, Metrics
from whisper_server.speech.engine import Engine, Stage
from whisper_server.speech.errors import NoSpace, SpeechError
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference
from whisper_server.work.disk_space import is_full_disk
from whisper_server.work.inference_queue import InferenceQueue
from whisper_server.work.job_errors import JobNotFound, StorageFull
from whisper_server.work.job_records import Failure, Record
from whisper_server.work.job_store import JobStore
from whisper_server.work.progress import Progress

_logger = logging.getLogger("whisper_server")

_TEND_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_MEMORY_STEP = 0.05
_PROGRESS_SECONDS = 1.0

# Seconds between two looks for jobs of other processes, and the wait after an error.
_POLL_SECONDS = 1.0
_BACKOFF_SECONDS = 5.0


class _Unwanted(Exception):
    """The job was cancelled, deleted or given to another worker."""


class _Stopping(Exception):
    """The server is stopping."""


class JobWorker:
    """Processes the jobs of a store with an engine while no request needs it.

    `failure_of` describes an exception to the client; its second argument is the id of the client's request.
    """

    def __init__(
        self,
        engine: Engine,
        queue: InferenceQueue,
        jobs: JobStore,
        max_seconds: float,
        metrics: Metrics,
        failure_of: Callable[[Exception, str], Failure],
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._jobs = jobs
        self._max_seconds = max_seconds
        self._metrics = metrics
        self._failure_of = failure_of
        self._stopping = threading.Event()
        self._current: Record | None = None
        self._noted = 0.0
        self._threads = [
            # Daemon threads: a running step must not keep the process from stopping; the job's lease expires by itself.
            threading.Thread(target=self._work, name="jobs", daemon=True),
            threading.Thread(target=self._tend, name="jobs-tender", daemon=True),
        ]

    def start(self) -> None:
        """Starts both threads."""
        for thread in self._threads:
            thread.start()

    def close(self, seconds: float = 10.0) -> None:
        """Stops both threads. A running job returns to the queue at its next step; this waits for `seconds` at most."""
        self._stopping.set()
        self._jobs.arrival.set()
        for thread in self._threads:
            thread.join(seconds)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._jobs.arrival.clear()
            try:
                if not self.work_once():
                    self._jobs.arrival.wait(_POLL_SECONDS)
            except Exception as error:
                _logger.error("No job can be taken: %s", error)
                self._stopping.wait(_BACKOFF_SECONDS)

    def work_once(self) -> bool:
        """Processes the first waiting job, and returns whether there was one."""
        job = self._jobs.claim()
        if job is None:
            return False
        self._noted, self._current = 0.0, job
        try:
            self._attempt(job)
        except Exception as error:
            # An error of the store, for example a full disk. The job is retried when its lease has expired.
            _logger.error("Job %s is left to be tried again: %s", job.id, error)
        finally:
            self._current = None
        return True

    def _tend(self) -> None:
        tended = -_TEND_SECONDS
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                if (current := self._current) is not None:
                    self._note_memory(current)
                if time.monotonic() - tended >= _TEND_SECONDS:
                    tended = time.monotonic()
                    if current is not None:
                        self._jobs.renew(current)
                    for failed in self._jobs.tend():
                        self._ended(failed, "failed")
            except Exception:
                _logger.exception("the jobs cannot be looked after")

    def _note_memory(self, job: Record) -> None:
        """Stores the highest memory use, in steps, because each change is written to disk."""
        share = cgroup.memory_share()
        if share >= self._noted + _MEMORY_STEP:
            self._noted = share
            self._jobs.note_memory(job, share)

    def _attempt(self, job: Record) -> None:
        try:
            transcript = self._transcribe(job)
            if not self._jobs.complete(job, transcript):
                raise _Unwanted
            request = job.request
            self._metrics.count_work(
                request.options.model, request.owner, transcript.duration, transcript.engine_seconds
            )
            self._ended(job, "completed", transcript)
        except _Stopping:
            self._jobs.give_back(job)
        except _Unwanted:
            self._drop(job)
        except Exception as error:
            self._end(job, error)

    def _drop(self, job: Record) -> None:
        """Ends an attempt that has lost its job."""
        try:
            status = self._jobs.get(job.id).status
        except JobNotFound:
            status = "cancelled"
        if status == "cancelled":
            self._ended(job, status)
        else:
            _logger.warning("Job %s was given to another worker: this one was silent for too long", job.id)

    def _end(self, job: Record, error: Exception) -> None:
        """Ends an attempt because of an error."""
        failure = self._failure_of(error, job.request.request_id)
        if not self._jobs.is_wanted(job):  # the recording may have been deleted before it was opened
            self._drop(job)
        elif isinstance(error, NoSpace | StorageFull) or is_full_disk(error):
            _logger.warning("Job %s found no disk space; it is tried again", job.id)
            self._jobs.postpone(job, failure)
        elif self._jobs.fail(job, failure):
            self._ended(job, "failed", unexpected=None if isinstance(error, SpeechError) else error)

    def _ended(
        self, job: Record, status: JobEnd, transcript: Transcript | None = None, unexpected: Exception | None = None
    ) -> None:
        """Counts and logs the end of a job."""
        now = time.time()
        started = now if job.started is None else job.started
        self._metrics.count_job(status, max(0.0, started - job.created), max(0.0, now - started))
        _log(job, status, transcript, unexpected)

    def _transcribe(self, job: Record) -> Transcript:
        def raise_if_unwanted() -> None:
            self._raise_if_unwanted(job)

        turn = self._queue.background(raise_if_unwanted)
        report = _Report(job.request.options, lambda progress: self._jobs.advance(job, progress))

        def reached(stage: Stage, share: float) -> None:
            raise_if_unwanted()
            report(stage, share)
            if not job.alone:
                turn.give_way()

        @contextmanager
        def engine_turn() -> Iterator[None]:
            with turn:
                if job.alone:
                    self._engine.unload_unused()
                yield

        self._engine.prepare(job.request.options)
        return inference.transcribe(
            self._engine,
            self._jobs.audio(job),
            job.request.options,
            self._max_seconds,
            reached,
            turn=engine_turn,
            on_decoded=report.begin,
        )

    def _raise_if_unwanted(self, job: Record) -> None:
        """Raises _Unwanted or _Stopping if the result is no longer needed."""
        if not self._jobs.is_wanted(job):
            raise _Unwanted
        if self._stopping.is_set():
            raise _Stopping


def _log(job: Record, status: JobEnd, transcript: Transcript | None, unexpected: Exception | None) -> None:
    entry = Entry(job.request.request_id, model=job.request.options.model)
    if transcript is not None:
        entry.audio_seconds, entry.engine_seconds = transcript.duration, transcript.engine_seconds
    write_job(job.id, status, entry, unexpected)


class _Report:
    """Stores a new stage immediately, progress at most once per second, because each change is written to disk."""

    def __init__(self, options: Options, advance: Callable[[Progress], None]) -> None:
        self._progress = Progress(options)
        self._advance = advance
        self._stored_stage = self._progress.stage
        self._stored_at = time.monotonic()

    def begin(self, seconds: float) -> None:
        """Sets the length of the recording, in seconds."""
        self._progress.seconds = seconds

    def __call__(self, stage: Stage, share: float) -> None:
        progress, now = self._progress, time.monotonic()
        progress.reach(stage, share)
        if progress.stage == self._stored_stage and now - self._stored_at < _PROGRESS_SECONDS:
            return
        self._stored_stage, self._stored_at = progress.stage, now
        try:
            self._advance(progress)
        except StorageFull:
            # A progress value is not worth failing a job for.
            _logger.debug("no disk space for the progress of a job")
