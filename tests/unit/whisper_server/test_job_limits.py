"""Jobs that kill their worker, that nobody wants any more, and that are too many."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from tests.unit.whisper_server.sqlite_faults import FaultyConnection, connect_faulty, full_database
from tests.unit.whisper_server.test_jobs import add, claimed, finished, job, job_request, submit
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import NoSpace
from whisper_server.speech.transcript import Transcript
from whisper_server.work import job_store, job_worker
from whisper_server.work.job_errors import JobNotFound, StorageFull, TooManyJobs
from whisper_server.work.job_store import JobStore
from whisper_server.work.progress import Progress

URL = "/v1/audio/transcriptions"
ASYNC = {"prefer": "respond-async"}
TRANSCRIPT = Transcript("transcribe", MODEL, "en", 2.0, 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = opened(tmp_path)
    yield store
    store.close()


def opened(folder: Path, limit: int = 100) -> JobStore:
    return JobStore(Settings(data_folder=folder, job_ttl=600, job_limit=limit))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the time pass that a worker has to say that it is there."""
    past = 0.0
    clock = time.time

    def pass_() -> None:
        nonlocal past
        past += job_store.LEASE_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: clock() + past)

    return pass_


def rows(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as database:
        return [str(row[0]) for row in database.execute("SELECT id FROM job")]


def test_a_job_whose_worker_dies_fails_after_three_attempts(
    store: JobStore, tmp_path: Path, later: Callable[[], None]
) -> None:
    job_id = add(store, tmp_path)
    for _ in range(3):
        attempt = claimed(store)
        later()
        store.tend()
    assert store.claim() is None
    failed = store.get(job_id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "too_many_attempts"
    assert "ended 3 times" in failed.error.message
    assert not store.audio(attempt).exists()
    assert store.unfinished() == 0


def test_a_worker_that_always_dies_is_not_asked_for_ever(
    store: JobStore, tmp_path: Path, later: Callable[[], None]
) -> None:
    attempts = 0
    seen: set[str] = set()
    add(store, tmp_path)
    for _ in range(50):
        with closing(opened(tmp_path)) as server:
            if server.claim():
                attempts += 1
            later()
            server.tend()
            seen |= {listed.status for listed in server.all()}
    assert attempts == 3
    assert seen == {"queued", "failed"}
    assert store.all() == [], "it was kept for its time"


def test_a_job_that_waits_for_long_has_not_failed(store: JobStore, tmp_path: Path, later: Callable[[], None]) -> None:
    """Another job takes the server with it, again and again."""
    deadly, waiting = add(store, tmp_path), add(store, tmp_path)
    for _ in range(3):
        attempt = claimed(store)
        if attempt.id == waiting:
            store.give_back(attempt)
            attempt = claimed(store)
        assert attempt.id == deadly
        later()
        store.tend()
    assert store.get(deadly).status == "failed"
    assert store.get(waiting).status == "queued"
    assert claimed(store).attempts == 1


def test_a_server_that_stops_orderly_does_not_count(store: JobStore, tmp_path: Path) -> None:
    job_id = add(store, tmp_path)
    for _ in range(5):
        store.give_back(claimed(store))
    assert store.get(job_id).status == "queued"
    assert store.get(job_id).attempts == 0


@pytest.mark.parametrize("worker_died", [True, False])
def test_a_full_disk_in_the_middle_of_giving_back_loses_no_job(
    tmp_path: Path, later: Callable[[], None], monkeypatch: pytest.MonkeyPatch, worker_died: bool
) -> None:
    def fail(_: str) -> None:
        raise full_database()

    connect_faulty(monkeypatch)
    store = opened(tmp_path)
    job_id = add(store, tmp_path)
    attempt = claimed(store)
    with monkeypatch.context() as full:
        full.setattr(FaultyConnection, "watch", staticmethod(fail))
        if worker_died:
            later()
            store.tend()
        else:
            with pytest.raises(StorageFull):
                store.give_back(attempt)
        assert store.get(job_id).status == "in_progress"
    for _ in range(2):
        later()
        store.tend()
        store.tend()
    assert claimed(store).id == job_id
    assert store.claim() is None, "once"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), NoSpace("no space", param="file")])
def test_a_disk_that_is_full_while_a_job_runs(
    http: httpx.Client, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """The job waits for some space, but not for ever."""
    monkeypatch.setattr(job_store, "LEASE_SECONDS", 2)
    monkeypatch.setattr(job_worker, "_TEND_SECONDS", 0.2)
    monkeypatch.setattr(engine, "failure", failure)
    done = http.post(URL, files=FILE, headers=ASYNC).json()["id"]
    assert eventually(lambda: len(engine.asked) == 1)
    monkeypatch.setattr(engine, "failure", None)
    assert eventually(lambda: http.get(f"/jobs/{done}").json()["status"] == "completed")
    monkeypatch.setattr(engine, "failure", failure)
    failed = http.post(URL, files=FILE, headers=ASYNC).json()["id"]
    assert eventually(lambda: http.get(f"/jobs/{failed}").json()["status"] == "failed")
    assert http.get(f"/jobs/{failed}").json()["error"]["code"] == "no_space"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_nothing_is_left_of_a_job_that_was_forgotten_while_it_ran(store: JobStore, tmp_path: Path, times: int) -> None:
    job_id = add(store, tmp_path)
    attempt = claimed(store)
    for _ in range(min(times, 2)):
        store.cancel(job_id)
    if times == 3:
        with pytest.raises(JobNotFound):
            store.cancel(job_id)
    assert not store.is_wanted(attempt)
    store.renew(attempt)
    store.advance(attempt, Progress(job_request().options))
    assert not store.complete(attempt, TRANSCRIPT)
    if times == 1:
        assert store.get(job_id).status == "cancelled"
    else:
        assert rows(tmp_path) == []
        assert list((tmp_path / "jobs").iterdir()) == []


def test_deleting_twice_ends_the_work(http: httpx.Client, engine: ScriptedEngine, settings: Settings) -> None:
    engine.go.clear()
    job_id = submit(http)["id"]
    assert eventually(lambda: len(engine.asked) == 1)
    assert job(http, job_id)["status"] == "in_progress"
    for status in (200, 200, 404):
        assert http.delete(f"/jobs/{job_id}").status_code == status
    engine.go.set()
    last = submit(http)["id"]
    assert finished(http, last)["status"] == "completed"
    assert engine.given == 1 + len(engine.segments), "it stopped at its next segment"
    http.delete(f"/jobs/{last}")
    assert rows(settings.data_folder) == []
    assert list((settings.data_folder / "jobs").iterdir()) == []


class TestShares:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(data_folder=tmp_path, job_limit=8)

    def test_an_owner_leaves_room_for_others(self, http: httpx.Client, engine: ScriptedEngine) -> None:
        engine.go.clear()

        def until_refused(user: str) -> tuple[int, str]:
            number = 0
            while (answer := http.post(URL, files=FILE, headers={**ASYNC, "x-remote-user": user})).status_code == 202:
                number += 1
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_jobs")
            assert int(answer.headers["retry-after"]) > 0
            return number, answer.json()["error"]["message"]

        taken = {user: until_refused(user) for user in ("alice", "bob", "carol", "dave", "erin")}
        assert [number for number, _ in taken.values()] == [4, 2, 1, 1, 0]
        assert "4 of your jobs" in taken["alice"][1]
        assert "8 jobs of all clients" in taken["erin"][1]
        mine = http.get("/jobs", headers={"x-remote-user": "alice"}).json()["data"]
        http.delete(f"/jobs/{mine[0]['id']}", headers={"x-remote-user": "alice"})
        assert until_refused("erin")[0] == 1

    def test_finished_jobs_do_not_count(self, http: httpx.Client) -> None:
        alice = {"x-remote-user": "alice"}
        for _ in range(9):
            answer = http.post(URL, files=FILE, headers={**ASYNC, **alice})
            assert answer.status_code == 202
            finished(http, answer.json()["id"])


@pytest.mark.parametrize("owner", [None, "alice"])
def test_a_limit_of_one(tmp_path: Path, owner: str | None) -> None:
    store = opened(tmp_path, limit=1)
    (tmp_path / "upload").write_bytes(b"sound")
    store.add(tmp_path / "upload", job_request(owner))
    with pytest.raises(TooManyJobs, match="1 jobs of all clients"):
        store.add(tmp_path / "upload", job_request(owner))


def test_jobs_that_come_at_once_do_not_pass_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path, limit=2)
    (tmp_path / "upload").write_bytes(b"sound")
    barrier = threading.Barrier(2)
    copy = shutil.copyfile

    def slow(source: Path, target: Path) -> None:
        barrier.wait(5)
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", slow)

    def attempt(_: int) -> bool:
        try:
            store.add(tmp_path / "upload", job_request())
        except TooManyJobs:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 2
    assert store.unfinished() == 2
