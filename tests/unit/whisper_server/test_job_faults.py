"""A server that is killed, or whose disk is full, at any write that anything done with a job makes.

Writes are those to the storage of the queue and those to the folder of the recordings. Whatever happens: no job is lost
that a client was told of, none is done again whose transcript was stored, and nothing is left of those that are gone.
"""

import errno
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from whisper_server.http.errors import ApiError
from whisper_server.process.metrics import Metrics
from whisper_server.process.settings import Settings
from whisper_server.speech.engine import Reached
from whisper_server.speech.errors import UndecodableAudio
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference, job_store, job_worker
from whisper_server.work.inference_queue import InferenceQueue
from whisper_server.work.job_records import Order
from whisper_server.work.job_store import JobStore
from whisper_server.work.job_worker import JobWorker

TRANSCRIPT = Transcript("transcribe", MODEL, "en", 2.0, 1.0)
TTL = 600


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
        self.does: Callable[[Reached], None] | None = None
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(inference, "transcribe", self._transcribe)
        monkeypatch.setattr(job_worker, "_PROGRESS_SECONDS", 0.0)
        for module, name in ((Path, "mkdir"), (Path, "unlink"), (shutil, "rmtree"), (shutil, "copyfile")):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))
        self.begin()

    def begin(self) -> None:
        """Starts a server."""
        self.store = JobStore(Settings(data_folder=self.folder, job_ttl=TTL))
        self.worker = JobWorker(ScriptedEngine(), InferenceQueue(1), self.store, 100, Metrics())
        storage = self.store.huey.storage
        storage.sql("pragma synchronous=0")  # no power cut is tested, and each write would take milliseconds
        for name in ("put_data", "put_if_empty", "delete_data", "enqueue"):
            setattr(storage, name, self._counted(getattr(storage, name)))

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if self.writes_left == 0:
                if write.__name__ == "copyfile":
                    Path(arguments[1]).write_bytes(b"so")
                raise self.failure()
            if self.writes_left is not None:
                self.writes_left -= 1
            if arguments and str(arguments[0]).endswith(".transcript") and write.__name__ == "put_data":
                self.stored.append(arguments[0].split(".")[1])
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
        return self.store.add(upload, Order(Options(model=MODEL), "json", ["segment"], "request-1")).id

    def work(self) -> None:
        """Does all that waits, as huey's worker would."""
        while (task := self.store.huey.dequeue()) is not None:
            with suppress(Exception):
                self.store.huey.execute(task)

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
            rows = [str(row[0]) for row in database.execute("select key from kv union all select id from task")]
        return rows + [path.name for path in (self.folder / "jobs").iterdir()]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    yield Site(tmp_path, monkeypatch)
    monkeypatch.undo()


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def full_database() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


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
        site.store.huey.dequeue()
    site.store.start(site.job_id)
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
    except ApiError:
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
        with suppress(Killed, OSError, sqlite3.OperationalError):
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
        with suppress(Killed, OSError, sqlite3.OperationalError):
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
