"""Jobs of versions that kept them with huey: their files (see earlier_jobs/make.py), there and back again."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.whisper_server.conftest import serving
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from tests.unit.whisper_server.test_job_faults import HUEY_TABLES
from tests.unit.whisper_server.test_jobs import add, finished, job
from whisper_server.process.settings import Settings
from whisper_server.speech.options import Options, Speakers
from whisper_server.work.earlier_jobs import _unpickled
from whisper_server.work.job_errors import JobNotFound
from whisper_server.work.job_store import JobStore

FILES = Path(__file__).parent / "earlier_jobs"
# The state that was deployed first, and the last one with huey.
VERSIONS = ("c159a5b", "8ca5e22")
FOR_EVER = 10**9


@dataclass(frozen=True)
class Volume:
    """A data folder that an earlier version left, and the ids of its jobs by name."""

    settings: Settings
    ids: dict[str, str]

    def statuses(self) -> dict[str, str]:
        """What this version makes of it, after it was opened twice."""
        for _ in range(2):
            with closing(JobStore(self.settings)) as store:
                found = {record.id: record.status for record in store.all()}
        return {name: found[job_id] for name, job_id in self.ids.items() if job_id in found}

    def kept(self, job_id: str) -> dict[str, Any]:
        """What the earlier version would find of a job."""
        with closing(sqlite3.connect(self.settings.data_folder / "jobs.sqlite3")) as database:
            rows = database.execute("SELECT key, value FROM kv WHERE key LIKE ?", (f"job.{job_id}.%",))
            return {key.rsplit(".", 1)[1]: _unpickled(value) for key, value in rows}


def restored(folder: Path, name: str) -> Volume:
    script = (FILES / f"{name}.sql").read_text()
    head = json.loads(script.partition("\n")[0].removeprefix("-- "))
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as database:
        database.executescript(script)
    for job_id, has_audio in head["folders"].items():
        place = folder / "jobs" / job_id
        place.mkdir(parents=True)
        if has_audio:
            (place / "audio").write_bytes(FILE["file"][1])
    return Volume(Settings(data_folder=folder, job_ttl=FOR_EVER), head["names"])


@pytest.fixture(params=VERSIONS)
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Volume:
    return restored(tmp_path, request.param)


def test_jobs_are_taken_over(volume: Volume) -> None:
    engine = ScriptedEngine()
    with serving(engine, volume.settings) as http:
        for name in ("waiting", "second", "stopped", "running"):
            done = finished(http, volume.ids[name])
            assert done["status"] == "completed"
            assert done["result"]["text"] == "Good morning. Fine day."
        listed = http.get("/jobs", headers={"x-remote-user": "alice"}).json()["data"]
        assert [entry["id"] for entry in listed] == [volume.ids["waiting"]]
        assert job(http, volume.ids["completed"])["result"]["text"] == "Good morning. Fine\u2028day."
        words = [word["word"] for word in job(http, volume.ids["completed"])["result"]["words"]]
        assert words == ["Good", "morning."]
        assert job(http, volume.ids["failed"])["error"]["code"] == "undecodable_audio"
        assert job(http, volume.ids["cancelled"])["status"] == "cancelled"
        assert http.get(f"/jobs/{volume.ids['deleted']}").status_code == 404
        assert not list(volume.settings.data_folder.glob("jobs/*/audio"))
    first = Options("scripted/base", language="fr", speakers=Speakers(number=2), align=True)
    assert engine.asked[0] == first, "the one that waited for longest"
    assert len(engine.asked) == 4


def test_taking_over_again_changes_nothing(volume: Volume) -> None:
    with closing(JobStore(volume.settings)) as store:
        before = store.all()
    with closing(JobStore(volume.settings)) as store:
        assert store.all() == before


def test_an_earlier_version_finds_what_waits(volume: Volume) -> None:
    """As it had written it itself, new jobs too; of what has ended since, nothing."""
    before = {name: volume.kept(job_id) for name, job_id in volume.ids.items()}
    with closing(JobStore(volume.settings)) as store:
        added = add(store, volume.settings.data_folder)
        attempt = store.claim()
        assert attempt is not None
        assert attempt.id == volume.ids["waiting"]
        store.give_back(attempt)
        second = store.claim()
        assert second is not None
        assert second.id == volume.ids["second"]
        store.cancel(second.id)
    assert volume.kept(second.id) == {}
    assert volume.kept(volume.ids["completed"]) == before["completed"], "it goes on showing its own results"
    for name in ("waiting", "stopped", "running"):
        assert volume.kept(volume.ids[name]).keys() == {"record"}
        kept, was = (json.loads(found["record"]) for found in (volume.kept(volume.ids[name]), before[name]))
        assert kept["created"] == was["created"]
        kept["order"]["options"] = {key: kept["order"]["options"][key] for key in was["order"]["options"]}
        assert kept["order"] == was["order"]
    assert json.loads(volume.kept(added)["record"]).keys() == {"order", "created"}


@pytest.mark.parametrize("version", VERSIONS)
def test_there_and_back(tmp_path: Path, version: str) -> None:
    """What the earlier version did after a rollback holds; the rest is as this version left it."""
    volume = restored(tmp_path, f"{version}-back")
    assert volume.statuses() == {
        "waiting": "queued",
        "stopped": "queued",
        "running": "in_progress",
        "second": "completed",
        "completed": "completed",
        "cancelled": "cancelled",
        "new waiting": "queued",
        "new running": "in_progress",
        "new completed": "completed",
        "completed back": "completed",
        "failed back": "failed",
        "cancelled back": "cancelled",
    }
    with serving(ScriptedEngine(), volume.settings) as http:
        for name in ("waiting", "stopped", "running", "new waiting", "new running"):
            assert finished(http, volume.ids[name])["result"]["text"] == "Good morning. Fine day."
        for name in ("second", "completed", "new completed", "completed back"):
            assert job(http, volume.ids[name])["result"]["text"] == "Good morning. Fine\u2028day."


def test_a_record_that_cannot_be_read_stops_nothing(tmp_path: Path, volume: Volume) -> None:
    broken = volume.ids["second"]
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as database, database:
        database.execute("UPDATE kv SET value = x'80' WHERE key = ?", (f"job.{broken}.record",))
    assert volume.statuses()["waiting"] == "queued"
    with closing(JobStore(volume.settings)) as store, pytest.raises(JobNotFound):
        store.get(broken)


def test_a_transcript_that_a_deleted_job_left_is_deleted(volume: Volume) -> None:
    """An earlier version stored it when a job that ran was deleted twice."""
    job_id = "0" * 32
    with closing(sqlite3.connect(volume.settings.data_folder / "jobs.sqlite3")) as database, database:
        copied = "SELECT queue, ?, value FROM kv WHERE key = ?"
        keys = [f"job.{name}.transcript" for name in (job_id, volume.ids["completed"])]
        database.execute("INSERT INTO kv (queue, key, value) " + copied, keys)
    assert volume.kept(job_id).keys() == {"transcript"}
    volume.statuses()
    assert volume.kept(job_id) == {}


def test_an_earlier_version_on_a_new_deployment_finds_what_waits(tmp_path: Path) -> None:
    """Its huey creates the same tables unless they exist."""
    volume = Volume(Settings(data_folder=tmp_path), {})
    with closing(JobStore(volume.settings)) as store:
        job_id = add(store, tmp_path)
    assert volume.kept(job_id).keys() == {"record"}
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as database:
        database.executescript(HUEY_TABLES)
    assert volume.kept(job_id).keys() == {"record"}
    with closing(JobStore(volume.settings)) as store:
        assert store.get(job_id).status == "queued"


def test_nothing_is_left_of_what_is_deleted(volume: Volume) -> None:
    with closing(JobStore(volume.settings)) as store:
        for record in store.all():
            store.cancel(record.id)
        for record in store.all():
            store.cancel(record.id)
        assert store.all() == []
    assert {job_id for job_id in volume.ids.values() if volume.kept(job_id)} == set()
    assert list((volume.settings.data_folder / "jobs").iterdir()) == []
