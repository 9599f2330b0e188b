"""Processes that share a job store and are killed at random: `python -m … FOLDER SEED KILLS`.

Each adds, cancels and works on jobs as fast as it can. The file `journal` in the folder says what was told to clients
and what was begun and completed, a line each, in this order.
"""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.unit.whisper_server.scripted_engine import MODEL, segment
from whisper_server.process.settings import Settings
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import job_store
from whisper_server.work.job_errors import JobNotFound, TooManyJobs
from whisper_server.work.job_records import JobRequest
from whisper_server.work.job_store import JobStore
from whisper_server.work.progress import Progress

PROCESSES = 3
LEASE_SECONDS = 1
PATIENCE_SECONDS = 60
LINE = len("completed ") + 32
"""Bytes of a line of the journal, about."""
REQUEST = JobRequest(Options(model=MODEL), "json", ["segment"], "request-1")
TRANSCRIPT = Transcript("transcribe", MODEL, "en", 300.0, 1.0, [segment(number, " Go on.") for number in range(300)])


class Process:
    """What one process does until it is killed."""

    def __init__(self, folder: Path, moments: random.Random) -> None:
        self.moments = moments
        self.upload = folder / "upload"
        self.journal = os.open(folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.store = JobStore(Settings(data_folder=folder, job_limit=20))
        self.mine: list[str] = []

    def say(self, event: str, job_id: str) -> None:
        os.write(self.journal, f"{event} {job_id}\n".encode())

    def run(self) -> None:
        while True:
            self.moments.choice((self.add, self.cancel, self.work, self.work, self.store.tend))()

    def add(self) -> None:
        with suppress(TooManyJobs):
            self.mine.append(self.store.add(self.upload, REQUEST).id)
            self.say("added", self.mine[-1])

    def cancel(self) -> None:
        if self.mine and self.moments.random() < 0.2:
            job_id = self.mine.pop()
            self.say("cancelling", job_id)
            with suppress(JobNotFound):
                self.store.cancel(job_id)
                self.say("cancelled", job_id)

    def work(self) -> None:
        attempt = self.store.claim()
        if attempt is None:
            return
        self.say("begun", attempt.id)
        if self.moments.random() < 0.2:
            self.store.give_back(attempt)
            return
        with suppress(FileNotFoundError):  # cancelled
            assert self.store.audio(attempt).read_bytes() == self.upload.read_bytes()
        self.store.renew(attempt)
        self.store.advance(attempt, Progress(REQUEST.options))
        if self.store.complete(attempt, TRANSCRIPT):
            self.say("completed", attempt.id)


def forked(folder: Path, moments: random.Random) -> int:
    """The id of a new process."""
    if (child := os.fork()) != 0:
        return child
    try:
        Process(folder, moments).run()
    finally:
        os._exit(1)


def main(folder: Path, seed: int, kills: int) -> None:
    job_store.LEASE_SECONDS = LEASE_SECONDS
    job_store._MOST_ATTEMPTS = kills
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    journal = folder / "journal"
    journal.touch()
    children: list[int] = []
    for _ in range(kills):
        while len(children) < PROCESSES:
            moments.random()  # no child goes the way of another one
            children.append(forked(folder, moments))
        # By what they have done, and not by time alone: how much they do in it depends on the machine.
        enough = journal.stat().st_size + LINE * moments.randrange(8)
        begun = time.monotonic()
        while journal.stat().st_size < enough:
            assert time.monotonic() < begun + PATIENCE_SECONDS, "they do nothing any more"
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        killed = children.pop(moments.randrange(PROCESSES))
        os.kill(killed, signal.SIGKILL)
        _, status = os.waitpid(killed, 0)
        assert os.WIFSIGNALED(status), "it had ended by itself"
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
