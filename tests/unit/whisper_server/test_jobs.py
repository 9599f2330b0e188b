import io
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually, serving
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import UndecodableAudio
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import job_store
from whisper_server.work.job_records import Failure, JobRequest, Record
from whisper_server.work.job_store import JobStore
from whisper_server.work.progress import Progress

URL = "/v1/audio/transcriptions"
ASYNC = {"prefer": "respond-async, wait=10"}
FAILURE = Failure("no", "server_error", None, None)


def submit(http: httpx.Client, **form: str) -> dict[str, Any]:
    answer = http.post(URL, files=FILE, data=form, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    return job


def job(http: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = http.get(f"/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def finished(http: httpx.Client, job_id: str) -> dict[str, Any]:
    assert eventually(lambda: job(http, job_id)["status"] not in ("queued", "in_progress"))
    return job(http, job_id)


def audio_files(settings: Settings) -> list[Path]:
    return list((settings.data_folder / "jobs").rglob("audio"))


def test_a_job_from_the_order_to_the_result(http: httpx.Client, engine: ScriptedEngine, settings: Settings) -> None:
    submitted = submit(http, language="fr", response_format="srt")
    assert (submitted["object"], submitted["status"], submitted["model"]) == ("job", "queued", MODEL)
    done = finished(http, submitted["id"])
    assert (done["status"], done["progress"]) == ("completed", 1.0)
    assert done["result"].startswith("1\n00:00:00,000 --> 00:00:01,000\nGood morning.")
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert engine.asked == [Options(model=MODEL, language="fr")]
    assert audio_files(settings) == []


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text", "vtt"])
def test_the_result_is_what_the_answer_would_have_been(http: httpx.Client, response_format: str) -> None:
    form = {"response_format": response_format, "timestamp_granularities[]": "word"}
    result = finished(http, submit(http, **form)["id"])["result"]
    answer = http.post(URL, files=FILE, data=form)
    assert result == (answer.json() if "json" in response_format else answer.text)


def test_a_job_that_fails_says_why(http: httpx.Client, engine: ScriptedEngine, settings: Settings) -> None:
    engine.failure = UndecodableAudio("cut short")
    failed = finished(http, submit(http)["id"])
    assert failed["status"] == "failed"
    assert failed["error"] == {
        "message": "cut short",
        "type": "invalid_request_error",
        "param": "file",
        "code": "undecodable_audio",
    }
    engine.failure = ZeroDivisionError("/secret")
    failed = finished(http, submit(http)["id"])
    assert failed["error"]["code"] == "internal_error"
    assert "secret" not in str(failed)
    assert audio_files(settings) == []


def test_bad_input_is_refused_before_there_is_a_job(http: httpx.Client) -> None:
    answer = http.post(URL, files={"file": ("a.mp3", b"text" * 1000)}, headers=ASYNC)
    assert answer.status_code == 415
    assert http.get("/jobs").json() == {"object": "list", "data": []}


def test_cancelling(http: httpx.Client, engine: ScriptedEngine, settings: Settings) -> None:
    engine.go.clear()
    running, waiting = submit(http)["id"], submit(http)["id"]
    assert eventually(lambda: len(engine.asked) == 1)
    assert job(http, running)["status"] == "in_progress"
    assert http.get("/busy").json() == {"busy": 2, "requests": 0, "jobs": 2}
    for job_id in (waiting, running):
        assert http.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"
    engine.go.set()
    assert audio_files(settings) == []
    last = submit(http)["id"]
    assert finished(http, last)["status"] == "completed"
    assert len(engine.asked) == 2, "the one that waited was never begun"
    assert engine.given == 1 + len(engine.segments), "the one that ran stopped at its next segment"
    assert [job(http, job_id)["status"] for job_id in (running, waiting)] == ["cancelled"] * 2


def test_cancelling_work_without_segments(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.lingers_in = "speakers"
    job_id = submit(http)["id"]
    assert eventually(lambda: len(engine.asked) == 1)
    assert http.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"
    assert eventually(lambda: http.get("/busy").json()["busy"] == 0)
    engine.lingers_in = None
    assert finished(http, submit(http)["id"])["status"] == "completed"


def test_a_finished_job_is_forgotten_when_deleted(http: httpx.Client, settings: Settings) -> None:
    job_id = submit(http)["id"]
    finished(http, job_id)
    assert http.delete(f"/jobs/{job_id}").status_code == 200
    for method in ("GET", "DELETE"):
        answer = http.request(method, f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
    assert list((settings.data_folder / "jobs").iterdir()) == []


@pytest.mark.parametrize("job_id", ["nope", "..", "%2e%2e", "..%2f..%2fetc"])
def test_unknown_jobs(http: httpx.Client, job_id: str) -> None:
    assert http.get(f"/jobs/{job_id}").status_code == 404
    assert http.delete(f"/jobs/{job_id}").status_code == 404


def test_the_newest_comes_first_and_lists_hold_no_texts(http: httpx.Client) -> None:
    first = submit(http)["id"]
    finished(http, first)
    time.sleep(1.1)
    second = submit(http)["id"]
    finished(http, second)
    listed = http.get("/jobs").json()["data"]
    assert [entry["id"] for entry in listed] == [second, first]
    assert "result" not in listed[0]


def test_requests_go_first(http: httpx.Client, engine: ScriptedEngine) -> None:
    """A request is answered between two segments of a job, not after its last."""
    engine.segments = engine.segments * 20
    original = engine._speak

    def slowly():  # type: ignore[no-untyped-def]
        for segment in original():
            time.sleep(0.05)
            yield segment

    engine._speak = slowly  # type: ignore[method-assign]
    job_id = submit(http)["id"]
    assert eventually(lambda: engine.given > 0)
    engine._speak = original  # type: ignore[method-assign]
    assert http.post(URL, files=FILE).status_code == 200
    assert job(http, job_id)["status"] == "in_progress"
    assert http.delete(f"/jobs/{job_id}").status_code == 200


class TestWithFewPlaces:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(data_folder=tmp_path, job_limit=1)

    def test_there_is_an_end_to_what_is_taken(self, http: httpx.Client, engine: ScriptedEngine) -> None:
        engine.go.clear()
        submit(http)
        answer = http.post(URL, files=FILE, headers=ASYNC)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_jobs")
        assert int(answer.headers["retry-after"]) > 0


def test_jobs_outlive_the_server(settings: Settings) -> None:
    """One that ran and one that waited are done by the next process; a finished one keeps its result."""
    first = ScriptedEngine()
    with serving(first, settings) as http:
        done = submit(http)["id"]
        finished(http, done)
        first.go.clear()
        running, waiting = submit(http)["id"], submit(http)["id"]
        assert eventually(lambda: job(http, running)["status"] == "in_progress")
    with serving(ScriptedEngine(), settings) as http:
        for job_id in (done, running, waiting):
            assert finished(http, job_id)["result"]["text"] == "Good morning. Fine day."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(Settings(data_folder=tmp_path, job_ttl=60))
    yield store
    store.close()


def job_request(owner: str | None = None) -> JobRequest:
    return JobRequest(Options(model=MODEL), "json", ["segment"], "request-1", owner)


def add(store: JobStore, tmp_path: Path) -> str:
    path = tmp_path / "upload"
    path.write_bytes(b"sound")
    return store.add(path, job_request()).id


def claimed(store: JobStore) -> Record:
    """The attempt of a worker that is free."""
    attempt = store.claim()
    assert attempt is not None
    return attempt


@pytest.mark.parametrize("reported", [True, False])
def test_a_job_of_a_worker_that_died_goes_to_another(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: bool
) -> None:
    job_id = add(store, tmp_path)
    first = claimed(store)
    assert first.id == job_id
    if reported:
        store.advance(first, Progress(job_request().options))
    store.tend()
    assert store.claim() is None, "its worker may still be there"
    later = time.time() + job_store.LEASE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    store.tend()
    store.tend()
    assert store.get(job_id).status == "queued"
    assert claimed(store).id == job_id
    assert store.claim() is None, "once"


def test_a_worker_that_was_thought_dead_changes_nothing(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual machine that was suspended, for example: another worker has its job."""
    add(store, tmp_path)
    suspended = claimed(store)
    later = time.time() + job_store.LEASE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    store.tend()
    second = claimed(store)
    assert second.id == suspended.id
    assert not store.is_wanted(suspended)
    before = store.get(second.id)
    store.renew(suspended)
    store.advance(suspended, Progress(job_request().options))
    store.note_memory(suspended, 0.9)
    store.postpone(suspended, FAILURE)
    store.give_back(suspended)
    assert not store.fail(suspended, FAILURE)
    assert not store.complete(suspended, Transcript("transcribe", MODEL, "en", 2.0, 1.0))
    assert store.get(second.id) == before
    assert store.audio(second).exists()
    assert store.complete(second, Transcript("transcribe", MODEL, "en", 2.0, 1.0))


def test_jobs_are_done_in_their_order(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose worker died or stopped waits behind the others."""
    jobs = [add(store, tmp_path) for _ in range(4)]
    died, stopped = claimed(store), claimed(store)
    assert [died.id, stopped.id] == jobs[:2]
    store.give_back(stopped)
    later = time.time() + job_store.LEASE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    store.tend()
    assert [claimed(store).id for _ in jobs] == [*jobs[2:], jobs[1], jobs[0]]


def test_results_are_kept_for_their_time(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, cancelled = add(store, tmp_path), add(store, tmp_path)
    store.fail(claimed(store), FAILURE)
    assert store.get(kept).status == "failed"
    store.cancel(cancelled)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59)
    store.tend()
    assert len(store.all()) == 2
    monkeypatch.setattr(time, "time", lambda: now + 62)
    store.tend()
    assert store.all() == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_recording_that_cannot_be_deleted_keeps_its_job(
    http: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/data/secret")

    job_id = submit(http)["id"]
    finished(http, job_id)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", refuse)
        answer = http.delete(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert "secret" not in answer.text
        assert job(http, job_id)["result"]["text"] == "Good morning. Fine day."
        assert [listed["id"] for listed in http.get("/jobs").json()["data"]] == [job_id]
    assert http.delete(f"/jobs/{job_id}").status_code == 200
    assert list((settings.data_folder / "jobs").iterdir()) == []


def test_one_recording_that_cannot_be_deleted_holds_no_other_job_up(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = [add(store, tmp_path) for _ in range(3)]
    for _ in ended:
        store.fail(claimed(store), FAILURE)
    stuck = ended[1]
    unlink = Path.unlink

    def refuse_one(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == stuck:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse_one)
    monkeypatch.setattr(logging.getLogger("whisper_server"), "propagate", True)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    store.tend()
    assert [job.id for job in store.all()] == [stuck]
    assert f"Job {stuck} cannot be tended" in caplog.text


def test_clients_see_their_own_jobs(http: httpx.Client) -> None:
    """The proxy names the client; who comes past the proxy sees everything."""
    alice, bob = {"x-remote-user": "alice"}, {"x-remote-user": "bob"}
    first = http.post(URL, files=FILE, headers={**ASYNC, **alice}).json()["id"]
    unnamed = submit(http)["id"]
    finished(http, first)
    finished(http, unnamed)

    def listed(headers: dict[str, str]) -> list[str]:
        return sorted(entry["id"] for entry in http.get("/jobs", headers=headers).json()["data"])

    assert listed(alice) == [first]
    assert listed(bob) == []
    assert listed({}) == sorted([first, unnamed])
    assert http.get(f"/jobs/{first}", headers=alice).json()["result"]["text"] == "Good morning. Fine day."
    for method in ("GET", "DELETE"):
        for job_id in (first, unnamed):
            answer = http.request(method, f"/jobs/{job_id}", headers=bob)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
    assert http.delete(f"/jobs/{first}", headers=alice).status_code == 200
    assert listed({}) == [unnamed]


def test_a_job_that_found_no_room_leaves_nothing(
    http: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    answer = http.post(URL, files=FILE, headers=ASYNC)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_space")
    assert list((settings.data_folder / "jobs").iterdir()) == []


def test_jobs_are_logged_without_their_text(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()

    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.getLogger("whisper_server").handlers[0].formatter)
    monkeypatch.setattr(logging.getLogger("whisper_server"), "handlers", [handler])
    job_id = submit(http)["id"]
    finished(http, job_id)
    assert eventually(lambda: '"event": "job"' in stream.getvalue())
    assert f'"job": "{job_id}", "status": "completed"' in stream.getvalue()
    assert "morning" not in stream.getvalue()
