"""The thread that does jobs, one after the other, and the one that looks after them."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from whisper_server.http.errors import Error, api_error, error_object, internal_error, is_full_disk, no_space
from whisper_server.process import cgroup
from whisper_server.process.log_entry import Entry, write_job
from whisper_server.process.metrics import Metrics
from whisper_server.speech.engine import Engine, Stage
from whisper_server.speech.errors import NoSpace, SpeechError
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference
from whisper_server.work.inference_queue import InferenceQueue
from whisper_server.work.job_records import Order
from whisper_server.work.job_store import JobStore
from whisper_server.work.progress import Progress

_logger = logging.getLogger("whisper_server")

_TEND_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_MEMORY_STEP = 0.05
_PROGRESS_SECONDS = 1.0
_POLL_SECONDS = (0.1, 1.0)


class _Cancelled(Exception):
    """The client does not want the job any more."""


class _Stopping(Exception):
    """The server stops."""


class JobWorker:
    """Does the jobs of a store with an engine, between requests."""

    def __init__(
        self, engine: Engine, queue: InferenceQueue, jobs: JobStore, max_seconds: float, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._jobs = jobs
        self._max_seconds = max_seconds
        self._metrics = metrics
        self._stopping = threading.Event()
        self._current: str | None = None
        self._noted = 0.0
        jobs.perform_with(self._perform)
        self._threads = [
            # As daemons: a step under way must not keep the process from stopping; the job's lease ends by itself.
            threading.Thread(target=self._work, name="jobs", daemon=True),
            threading.Thread(target=self._tend, name="jobs-tender", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self, seconds: float = 10.0) -> None:
        """Stops; a job under way is given back at its next step, for which this waits some seconds."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(seconds)

    def _work(self) -> None:
        from huey.consumer import Worker

        # huey's own Consumer would take the process's signals; its worker is all that is needed.
        delay, longest = _POLL_SECONDS
        worker = Worker(self._jobs.huey, self._stopping, delay, longest, backoff=1.15)
        while not self._stopping.is_set():
            worker.loop()

    def _tend(self) -> None:
        tended = -_TEND_SECONDS
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                if (current := self._current) is not None:
                    self._note_memory(current)
                if time.monotonic() - tended >= _TEND_SECONDS:
                    tended = time.monotonic()
                    if current is not None:
                        self._jobs.keep(current)
                    self._jobs.tend()
            except Exception:
                _logger.exception("the jobs cannot be looked after")

    def _note_memory(self, job_id: str) -> None:
        """Keeps the highest share of the memory that was in use, in steps: the store writes to the disk each time."""
        share = cgroup.memory_share()
        if share >= self._noted + _MEMORY_STEP:
            self._noted = share
            self._jobs.note_memory(job_id, share)

    def _perform(self, job_id: str) -> None:
        order = self._jobs.order(job_id)
        if order is None:
            return
        try:
            self._attempt(job_id, order)
        except Exception as error:
            # The store itself, on a full disk for one. The job's lease ends, then it is tried again.
            _logger.error("Job %s is left to be tried again: %s", job_id, error)
        finally:
            self._current = None

    def _attempt(self, job_id: str, order: Order) -> None:
        entry = Entry(order.request_id, model=order.options.model)
        try:
            alone = self._jobs.start(job_id)
            self._noted, self._current = 0.0, job_id
            transcript = self._transcribe(job_id, order, alone)
            self._jobs.complete(job_id, transcript)
            self._metrics.count_work(order.options.model, transcript.duration, transcript.engine_seconds)
            entry.audio_seconds, entry.engine_seconds = transcript.duration, transcript.engine_seconds
            write_job(job_id, "completed", entry)
        except _Stopping:
            self._jobs.give_back(job_id)
        except _Cancelled:
            write_job(job_id, "cancelled", entry)
        except NoSpace as error:
            self._postpone(job_id, error_object(api_error(error)))
        except SpeechError as error:
            self._fail(job_id, entry, error_object(api_error(error)))
        except Exception as error:
            if self._jobs.is_cancelled(job_id):  # its audio went away while it was opened
                write_job(job_id, "cancelled", entry)
            elif is_full_disk(error):
                self._postpone(job_id, error_object(no_space()))
            else:
                self._fail(job_id, entry, error_object(internal_error(order.request_id)), error)
        finally:
            self._jobs.leave(job_id)

    def _postpone(self, job_id: str, told: Error) -> None:
        _logger.warning("Job %s found no disk space; it is tried again", job_id)
        self._jobs.postpone(job_id, told)

    def _fail(self, job_id: str, entry: Entry, told: Error, failure: Exception | None = None) -> None:
        self._jobs.fail(job_id, told)
        write_job(job_id, "failed", entry, failure)

    def _transcribe(self, job_id: str, order: Order, alone: bool) -> Transcript:
        def raise_if_unwanted() -> None:
            self._raise_if_unwanted(job_id)

        turn = self._queue.background(raise_if_unwanted)
        report = _Report(order.options, lambda progress: self._jobs.advance(job_id, progress))

        def reached(stage: Stage, share: float) -> None:
            raise_if_unwanted()
            report(stage, share)
            if not alone:
                turn.give_way()

        @contextmanager
        def engine_turn() -> Iterator[None]:
            with turn:
                if alone:
                    self._engine.unload_unused()
                yield

        self._engine.prepare(order.options)
        return inference.transcribe(
            self._engine,
            self._jobs.audio(job_id),
            order.options,
            self._max_seconds,
            reached,
            on_decoded=report.begin,
            turn=engine_turn,
        )

    def _raise_if_unwanted(self, job_id: str) -> None:
        """Raises _Cancelled or _Stopping when the work has lost its purpose."""
        if self._jobs.is_cancelled(job_id):
            raise _Cancelled
        if self._stopping.is_set():
            raise _Stopping


class _Report:
    """Tells each new stage at once, but progress once a second at most: the store writes to the disk each time."""

    def __init__(self, options: Options, advance: Callable[[Progress], None]) -> None:
        self._progress = Progress(options)
        self._advance = advance
        self._told_stage = self._progress.stage
        self._told = time.monotonic()

    def begin(self, seconds: float) -> None:
        """The length of the recording is known."""
        self._progress.seconds = seconds

    def __call__(self, stage: Stage, share: float) -> None:
        progress, now = self._progress, time.monotonic()
        progress.reach(stage, share)
        if progress.stage == self._told_stage and now - self._told < _PROGRESS_SECONDS:
            return
        self._told_stage, self._told = progress.stage, now
        try:
            self._advance(progress)
        except Exception as error:
            # An hour's work is not to end for a number that nobody reads.
            if not is_full_disk(error):
                raise
