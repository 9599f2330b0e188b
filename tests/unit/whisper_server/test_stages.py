"""What a job shows, and what ends it or goes before it, in each of its stages."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually, serving
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from tests.unit.whisper_server.test_jobs import audio_files, finished, job, submit
from whisper_server.process.settings import Settings
from whisper_server.speech import decoding
from whisper_server.speech.engine import Stage
from whisper_server.speech.recording import Recording
from whisper_server.work import job_worker

URL = "/v1/audio/transcriptions"
STAGES: tuple[Stage, ...] = get_args(Stage)


@pytest.fixture
def linger(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Stage | None], None]]:
    """Keeps jobs in a stage until it is told another one; requests go through it."""
    decode = decoding.decode

    def slowly(*arguments: Any) -> Recording:
        recording = decode(*arguments)
        try:
            engine.linger("decoding", arguments[-1])
        except BaseException:
            recording.close()
            raise
        return recording

    monkeypatch.setattr(decoding, "decode", slowly)
    monkeypatch.setattr(job_worker, "_PROGRESS_SECONDS", 0.0)
    engine.keeps_jobs_only = True

    def in_stage(stage: Stage | None) -> None:
        engine.lingers_in = stage

    yield in_stage
    in_stage(None)


def in_stage(http: httpx.Client, stage: Stage) -> str:
    """The id of a job that has come to a stage."""
    job_id: str = submit(http)["id"]
    assert eventually(lambda: job(http, job_id).get("stage") == stage)
    return job_id


def test_stages_follow_each_other_and_progress_rises(
    http: httpx.Client, linger: Callable[[Stage | None], None]
) -> None:
    linger("decoding")
    submitted = submit(http)
    assert "stage" not in submitted, "it waits"
    seen = [0.0]
    for stage, following in zip(STAGES, (*STAGES[1:], None), strict=True):
        assert eventually(lambda stage=stage: job(http, submitted["id"]).get("stage") == stage)  # type: ignore[misc]
        seen.append(job(http, submitted["id"])["progress"])
        linger(following)
    done = finished(http, submitted["id"])
    assert "stage" not in done
    seen.append(done["progress"])
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert http.get("/openapi.json").json()["components"]["schemas"]["Job"]["properties"].keys() >= {"stage"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_request_goes_before_a_job(http: httpx.Client, linger: Callable[[Stage | None], None], stage: Stage) -> None:
    linger(stage)
    job_id = in_stage(http, stage)
    assert http.post(URL, files=FILE).json()["text"] == "Good morning. Fine day."
    assert job(http, job_id)["stage"] == stage
    linger(None)
    assert finished(http, job_id)["result"]["text"] == "Good morning. Fine day."


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_is_cancelled_ends(
    http: httpx.Client,
    linger: Callable[[Stage | None], None],
    settings: Settings,
    spooled: Callable[[], list[str]],
    stage: Stage,
) -> None:
    linger(stage)
    job_id = in_stage(http, stage)
    assert len(spooled()) == 1, "the recording decoded from its file"
    assert http.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"
    assert eventually(lambda: not spooled()), "it would linger for ever"
    assert audio_files(settings) == []
    linger(None)
    assert finished(http, submit(http)["id"])["status"] == "completed"
    assert job(http, job_id)["status"] == "cancelled"


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_is_cancelled_does_not_wait_for_a_request(
    http: httpx.Client,
    linger: Callable[[Stage | None], None],
    engine: ScriptedEngine,
    spooled: Callable[[], list[str]],
    stage: Stage,
) -> None:
    """A request may take longer than anybody wants to wait for the end of a job."""
    linger(stage)
    job_id = in_stage(http, stage)
    engine.go.clear()
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(http.post, URL, files=FILE)
        assert eventually(lambda: len(spooled()) == 3), "the request's upload and its recording"
        http.delete(f"/jobs/{job_id}")
        assert eventually(lambda: len(spooled()) == 2)
        assert not request.done()
        engine.go.set()
        assert request.result().json()["text"] == "Good morning. Fine day."


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_stops_gives_the_job_back(
    settings: Settings, engine: ScriptedEngine, linger: Callable[[Stage | None], None], stage: Stage
) -> None:
    linger(stage)
    with serving(engine, settings) as http:
        job_id = in_stage(http, stage)
    linger(None)
    with serving(ScriptedEngine(), settings) as http:
        done = finished(http, job_id)
    assert done["result"]["text"] == "Good morning. Fine day."
