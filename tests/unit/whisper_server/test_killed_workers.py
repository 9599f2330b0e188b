"""Several processes on one job store, killed at random moments. Kills at every single write are in test_job_faults."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.whisper_server.killed_workers import LEASE_SECONDS, TRANSCRIPT
from tests.unit.whisper_server.test_killed_servers import ROOT
from whisper_server.process.settings import Settings
from whisper_server.work import job_store
from whisper_server.work.job_errors import JobNotFound
from whisper_server.work.job_store import JobStore

KILLS = 50


def run_and_kill(folder: Path, seed: int) -> list[list[str]]:
    """The journal of processes that shared a folder, as [event, id of a job] each."""
    (folder / "upload").write_bytes(os.urandom(200_000))
    command = [sys.executable, "-m", "tests.unit.whisper_server.killed_workers", str(folder), str(seed), str(KILLS)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'images'}"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return [line.split() for line in (folder / "journal").read_text().splitlines()]


def status(store: JobStore, job_id: str) -> str:
    try:
        return store.get(job_id).status
    except JobNotFound:
        return "gone"


@pytest.mark.parametrize("seed", range(3))
def test_no_job_is_lost_or_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    journal = run_and_kill(tmp_path, seed)

    def of(event: str) -> list[str]:
        return [job_id for kind, job_id in journal if kind == event]

    assert len(of("completed")) > KILLS / 2, "they were killed before they had done anything"
    assert len(of("completed")) == len(set(of("completed"))), "completed twice"
    for number, (event, job_id) in enumerate(journal):
        assert event != "completed" or ["begun", job_id] not in journal[number:], "begun again"

    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    clock = time.time
    monkeypatch.setattr(job_store, "_MOST_ATTEMPTS", KILLS)
    with closing(JobStore(Settings(data_folder=tmp_path))) as store:
        monkeypatch.setattr(time, "time", lambda: clock() + LEASE_SECONDS + 1)
        store.tend()
        while (attempt := store.claim()) is not None:
            assert store.audio(attempt).read_bytes() == (tmp_path / "upload").read_bytes()
            assert store.complete(attempt, TRANSCRIPT)
        assert store.unfinished() == 0
        for job_id in set(of("added")) - set(of("cancelling")):
            assert status(store, job_id) == "completed"
            assert store.transcript(store.get(job_id)).text == TRANSCRIPT.text
        assert {status(store, job_id) for job_id in of("cancelled")} <= {"cancelled", "gone"}
        store.tend()
        assert not [record for record in store.all() if store.audio(record).exists()]
        monkeypatch.setattr(time, "time", lambda: clock() + 48 * 3600)
        store.tend()
        assert store.all() == []
        assert list((tmp_path / "jobs").iterdir()) == []
