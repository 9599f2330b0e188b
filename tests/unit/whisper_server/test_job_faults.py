"""A server that is killed, or whose disk is full, at any write that anything done with a job makes.

Writes are those to SQLite, commits included, and those to the folder of the recordings. An earlier version has used
the database, so that what is kept for a rollback to it is under test as well. Whatever happens: no job is lost
that a client was told of, none is done again whose transcript was stored, and nothing is left of those that are gone.
"""

import errno
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sqlite_faults import FaultyConnection, connect_faulty, full_database
from whisper_server.http.errors import failure_of
from whisper_server.process.metrics import Metrics
from whisper_server.process.settings import Settings
from whisper_server.speech.engine import Reached
from whisper_server.speech.errors import UndecodableAudio
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference, job_store, job_worker
from whisper_server.work.inference_queue import InferenceQueue
from whisper_server.work.job_errors import JobNotFound, StorageFull
from whisper_server.work.job_records import JobRequest
from whisper_server.work.job_store import JobStore
from whisper_server.work.job_worker import JobWorker

TRANSCRIPT = Transcript("transcribe", MODEL, "en", 2.0, 1.0)
TTL = 600

# As huey 3.5 makes them.
HUEY_TABLES = """
create table if not exists kv (queue text not null, key text not null, value blob not null, primary key(queue, key));
create table if not exists task (
    id integer not null primary key, queue text not null, data blob not null, priority real not null
);
"""


class Killed(BaseException):
    """Nothing is written any more, whatever is raised or cleaned up."""


class Site:
    """A data folder, the server that uses it at the moment, and what becomes of its writes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.now = time.time()
        self.writes_left: int | None = None
        self.failure: Callable[[], BaseException] = Killed
        self.runs: list[str] = []
        self.stored: list[str] = []
        self.job_id = ""
        self.server = ExitStack()
        self.does: Callable[[Reached], None] | None = None
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(inference, "transcribe", self._transcribe)
        monkeypatch.setattr(job_worker, "_PROGRESS_SECONDS", 0.0)
        for module, name in ((Path, "mkdir"), (Path, "unlink"), (shutil, "rmtree"), (shutil, "copyfile")):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))
        monkeypatch.setattr(FaultyConnection, "watch", staticmethod(lambda _: self._write(self.failure)))
        monkeypatch.setattr(FaultyConnection, "executed", staticmethod(self._executed))
        connect_faulty(monkeypatch)
        self._completing: list[str] = []
        with closing(sqlite3.connect(folder / "jobs.sqlite3")) as database:
            database.executescript(HUEY_TABLES)
        self.begin()

    def begin(self) -> None:
        """Starts a server."""
        self.server.close()
        self.store = self.server.enter_context(closing(JobStore(Settings(data_folder=self.folder, job_ttl=TTL))))
        self.worker = JobWorker(ScriptedEngine(), InferenceQueue(1), self.store, 100, Metrics(), failure_of)

    def _write(self, failure: Callable[[], BaseException]) -> None:
        if self.writes_left == 0:
            raise failure()
        if self.writes_left is not None:
            self.writes_left -= 1

    def _executed(self, verb: str, parameters: Sequence[Any]) -> None:
        """Notes which transcripts were stored: those of completions that were committed."""
        if verb == "UPDATE" and any(isinstance(parameter, bytes) for parameter in parameters):
            self._completing.append(parameters[-2])
        elif verb in ("COMMIT", "ROLLBACK"):
            self.stored += self._completing if verb == "COMMIT" else []
            self._completing = []

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if self.writes_left == 0 and write.__name__ == "copyfile":
                Path(arguments[1]).write_bytes(b"so")
            self._write(full_disk if self.failure is full_database else self.failure)
            return write(*arguments, **options)

        return counted

    def _transcribe(
        self, _engine: object, path: Path, _options: Options, _limit: float, reached: Reached, **_: Any
    ) -> Any:
        assert path.read_bytes() == b"sound", "no recording is lost or cut"
        job_id = path.parent.name
        reached("text", 0.5)
        if job_id == self.job_id and self.does is not None:
            does, self.does = self.does, None
            does(reached)
        assert job_id not in self.stored, "done again"
        self.runs.append(job_id)
        return TRANSCRIPT

    def add(self) -> str:
        upload = self.folder / "upload"
        upload.write_bytes(b"sound")
        return self.store.add(upload, JobRequest(Options(model=MODEL), "json", ["segment"], "request-1")).id

    def work(self) -> None:
        """Does all that waits."""
        while self.worker.work_once():
            pass

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.store.tend()

    def recover(self) -> None:
        """Does what a server that goes on, or is started again, does within some minutes."""
        self.writes_left = None
        if self.failure is Killed:
            self.begin()
        self.does = None
        for _ in range(5):
            self.pass_time(job_store.LEASE_SECONDS + 1)
            self.work()

    def left(self) -> list[str]:
        """What there still is after everything was kept for as long as it is kept."""
        self.pass_time(2 * TTL + job_store.ABANDONED_SECONDS)
        self.pass_time(1)
        self.work()
        with closing(sqlite3.connect(self.folder / "jobs.sqlite3")) as database:
            rows = [str(row[0]) for row in database.execute("SELECT id FROM job UNION ALL SELECT key FROM kv")]
        return rows + [path.name for path in (self.folder / "jobs").iterdir()]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(tmp_path, monkeypatch)
    yield site
    site.server.close()
    monkeypatch.undo()


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


# What is done with a job that waits behind another one, and below what may have become of it.


def works(site: Site) -> None:
    site.work()


def fails(site: Site) -> None:
    def break_off(_: Reached) -> None:
        raise UndecodableAudio("cut short")

    site.does = break_off
    site.work()


def is_cancelled(site: Site) -> None:
    site.store.cancel(site.job_id)


def is_cancelled_at_work(site: Site) -> None:
    def cancel(reached: Reached) -> None:
        site.store.cancel(site.job_id)
        reached("text", 0.6)

    site.does = cancel
    site.work()


def is_deleted_twice_at_work(site: Site) -> None:
    def delete(reached: Reached) -> None:
        site.store.cancel(site.job_id)
        site.store.cancel(site.job_id)
        reached("text", 0.6)

    site.does = delete
    site.work()


def is_deleted_twice_at_its_end(site: Site) -> None:
    def delete(_: Reached) -> None:
        site.store.cancel(site.job_id)
        site.store.cancel(site.job_id)

    site.does = delete
    site.work()


def is_given_back(site: Site) -> None:
    def stop(reached: Reached) -> None:
        site.worker._stopping.set()
        try:
            reached("text", 0.6)
        finally:
            site.worker._stopping.clear()

    site.does = stop
    site.work()


def is_offered_again(site: Site) -> None:
    for _ in range(2):
        site.store.claim()
    site.pass_time(job_store.LEASE_SECONDS + 1)


def is_forgotten_when_finished(site: Site) -> None:
    site.work()
    site.store.cancel(site.job_id)


def is_forgotten_in_time(site: Site) -> None:
    site.work()
    site.pass_time(TTL + 1)


GONE = "gone"
OPERATIONS: dict[Callable[[Site], None], set[str]] = {
    works: {"completed"},
    fails: {"failed", "completed"},
    is_cancelled: {"cancelled", "completed"},
    is_cancelled_at_work: {"cancelled", "completed"},
    is_deleted_twice_at_work: {GONE, "cancelled", "completed"},
    is_deleted_twice_at_its_end: {GONE, "cancelled", "completed"},
    is_given_back: {"completed"},
    is_offered_again: {"completed"},
    is_forgotten_when_finished: {GONE, "completed"},
    is_forgotten_in_time: {GONE, "completed"},
}


def status(site: Site, job_id: str) -> str:
    try:
        return site.store.get(job_id).status
    except JobNotFound:
        return GONE


@pytest.mark.parametrize("failure", [Killed, full_disk, full_database])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_at_any_write(
    site: Site, operation: Callable[[Site], None], failure: Callable[[], BaseException]
) -> None:
    for writes in range(100):
        site.failure, site.writes_left = Killed, None
        site.begin()
        other, site.job_id = site.add(), site.add()
        site.runs, site.stored = [], []
        site.failure, site.writes_left = failure, writes
        told = None
        with suppress(Killed, OSError, StorageFull):
            operation(site)
            told = status(site, site.job_id)
        finished = site.writes_left > 0
        site.recover()
        assert status(site, other) == "completed" or (operation is is_forgotten_in_time and status(site, other) == GONE)
        found = status(site, site.job_id)
        assert found in OPERATIONS[operation], f"after {writes} writes"
        if told in ("completed", "failed", "cancelled", GONE):
            assert found in (told, GONE), f"a client was told {told}"
        assert site.store.unfinished() == 0
        assert not list(site.folder.glob("jobs/*/audio")), f"a recording of no use after {writes} writes"
        assert site.left() == [], f"after {writes} writes"
        if finished:
            return
    raise AssertionError("it writes without end")


@pytest.mark.parametrize("failure", [Killed, full_disk, full_database])
def test_a_fault_while_a_job_is_added(site: Site, failure: Callable[[], BaseException]) -> None:
    for writes in range(100):
        site.begin()
        site.runs, site.stored = [], []
        site.failure, site.writes_left = failure, writes
        job_id = None
        with suppress(Killed, OSError, StorageFull):
            job_id = site.add()
        site.recover()
        if job_id is not None:
            assert status(site, job_id) == "completed"
        assert len(site.runs) <= 1
        assert site.store.unfinished() == 0
        assert site.left() == [], f"after {writes} writes"
        if job_id is not None:
            return
    raise AssertionError("it writes without end")
