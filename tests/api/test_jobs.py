"""Jobs through the public endpoint, and across a restart of the container."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.conftest import Demo, Recording

URL = "/v1/audio/transcriptions"
MINUTES = 5


@pytest.fixture
def clip(recordings: list[Recording]) -> Recording:
    return next(r for r in recordings if r.path.match("moonshine/beckett.wav"))


@pytest.fixture
def long(recordings: list[Recording]) -> Recording:
    return next(r for r in recordings if r.path.match("silero/aepyx.wav"))


def submit(http: httpx.Client, recording: Recording, **form: str) -> str:
    answer = http.post(
        URL,
        files={"file": (recording.path.name, recording.path.read_bytes())},
        data={"language": "en", **form},
        headers={"prefer": "respond-async"},
    )
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def until(http: httpx.Client, address: str, *statuses: str) -> dict[str, Any]:
    """The job when it has one of the statuses, without asking more often than a client would."""
    deadline = time.monotonic() + 60 * MINUTES
    while time.monotonic() < deadline:
        try:
            answer = http.get(address)
        except httpx.TransportError:
            answer = httpx.Response(502)
        if answer.status_code == 200 and answer.json()["status"] in statuses:
            job: dict[str, Any] = answer.json()
            return job
        time.sleep(0.5)
    raise AssertionError(f"the job was not {statuses} within {MINUTES} minutes")


def test_a_job(http: httpx.Client, clip: Recording) -> None:
    job = until(http, submit(http, clip, response_format="vtt"), "completed", "failed")
    assert job["status"] == "completed"
    assert job["result"].startswith("WEBVTT\n\n00:00:")
    assert job["progress"] == 1
    assert job["id"] in [listed["id"] for listed in http.get("/jobs").json()["data"]]
    assert http.delete(f"/jobs/{job['id']}").status_code == 200
    assert http.get(f"/jobs/{job['id']}").status_code == 404


def test_a_job_under_way_is_cancelled_and_shows_how_far_it_is(
    http: httpx.Client, long: Recording, on_the_server: Callable[..., str]
) -> None:
    address = submit(http, long)
    until(http, address, "in_progress")
    assert json.loads(on_the_server("curl", "--silent", "--fail", "http://127.0.0.1:8001/busy"))["jobs"] >= 1
    deadline = time.monotonic() + 60
    while http.get(address).json()["progress"] == 0 and time.monotonic() < deadline:
        time.sleep(0.3)
    assert 0 < http.get(address).json()["progress"] < 1
    assert http.delete(address).json()["status"] == "cancelled"


def test_a_job_survives_a_restart_of_the_container(http: httpx.Client, demo: Demo, long: Recording) -> None:
    address = submit(http, long, response_format="text")
    until(http, address, "in_progress")
    docker = ["docker", "exec", demo.container, "docker"]
    subprocess.run([*docker, "restart", "--time", "30", "faster-whisper"], check=True, capture_output=True)
    job = until(http, address, "completed", "failed")
    assert job["status"] == "completed"
    assert len(job["result"]) > 500
