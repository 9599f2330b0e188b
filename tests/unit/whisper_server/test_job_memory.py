"""Jobs for which there is too little memory.

Nothing says afterwards what the kernel killed a server for, but how much memory it had in use before.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from tests.unit.whisper_server.test_job_limits import later, opened, store
from tests.unit.whisper_server.test_jobs import add, claimed, job, submit
from whisper_server.process import cgroup
from whisper_server.process.settings import Settings
from whisper_server.speech.options import Options
from whisper_server.work.job_records import Failure, Record
from whisper_server.work.job_store import JobStore
from whisper_server.work.progress import Progress

URL = "/v1/audio/transcriptions"

__all__ = ["later", "store"]


def failure(store: JobStore, job_id: str) -> Failure:
    failed = store.get(job_id)
    assert failed.status == "failed"
    assert failed.error is not None
    return failed.error


def attempt(store: JobStore, later: Callable[[], None], memory: float, minutes: float) -> bool:
    """Whether an attempt was to have the memory for itself that came so far, and ended without a word."""
    attempt = claimed(store)
    progress = Progress(Options(model=MODEL))
    progress.seconds = 3840
    progress.reach("text", minutes / 64)
    store.note_memory(attempt, memory)
    store.advance(attempt, progress)
    later()
    store.tend()
    return attempt.alone


def test_the_next_attempt_is_alone(store: JobStore, tmp_path: Path, later: Callable[[], None]) -> None:
    add(store, tmp_path)
    assert not attempt(store, later, memory=0.97, minutes=10)
    assert attempt(store, later, memory=0.4, minutes=10)
    assert attempt(store, later, memory=0.4, minutes=10)


def test_one_that_had_room_is_not(store: JobStore, tmp_path: Path, later: Callable[[], None]) -> None:
    """The machine was switched off, or somebody killed the container."""
    job_id = add(store, tmp_path)
    assert [attempt(store, later, memory=0.3, minutes=10) for _ in range(3)] == [False] * 3
    assert failure(store, job_id).code == "too_many_attempts"


def test_the_last_attempt_says_what_would_fit(store: JobStore, tmp_path: Path, later: Callable[[], None]) -> None:
    job_id = add(store, tmp_path)
    for minutes in (10, 20, 38):
        attempt(store, later, memory=0.97, minutes=minutes)
    failed = failure(store, job_id)
    assert (failed.code, failed.type, failed.param) == ("out_of_memory", "server_error", "file")
    assert "at most 19 minutes: it came to minute 38" in failed.message, "half of it takes no more memory than that"
    assert store.unfinished() == 0


def test_what_would_fit_is_not_made_up(store: JobStore, tmp_path: Path, later: Callable[[], None]) -> None:
    job_id = add(store, tmp_path)
    for _ in range(3):
        attempt(store, later, memory=0.97, minutes=1.9)
    assert failure(store, job_id).code == "out_of_memory"
    assert "minute" not in failure(store, job_id).message


def test_a_job_alone_lets_no_request_in(
    http: httpx.Client, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it does not need is not in memory."""
    claim = JobStore.claim

    def alone(store: JobStore) -> Record | None:
        claimed = claim(store)
        return claimed and replace(claimed, alone=True)

    monkeypatch.setattr(JobStore, "claim", alone)
    engine.keeps_jobs_only = True
    engine.lingers_in = "text"
    engine.in_memory = {"other/model"}
    job_id = submit(http)["id"]
    assert eventually(lambda: job(http, job_id).get("stage") == "text")
    assert engine.in_memory == set()
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(http.post, URL, files=FILE)
        assert eventually(lambda: http.get("/busy").json()["requests"] == 1)
        engine.lingers_in = None
        assert request.result().status_code == 200
    assert engine.given == 2 * len(engine.segments)
    assert engine.order == ["jobs", "request"]


def test_memory_is_noted_while_a_job_runs(
    http: httpx.Client, engine: ScriptedEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its beginning on: what was in use before is not the job's."""
    monkeypatch.setattr(cgroup, "memory_share", lambda: 0.93)
    engine.lingers_in = "speakers"
    job_id = submit(http)["id"]
    assert eventually(lambda: job(http, job_id).get("stage") == "speakers")
    with closing(opened(settings.data_folder)) as store:
        assert eventually(lambda: store.get(job_id).memory == 0.93)
    engine.lingers_in = None
