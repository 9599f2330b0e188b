"""Two servers that share their jobs by sharing a data folder."""

import time
from collections.abc import Generator, Iterator

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually, serving
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.test_jobs import finished, job, submit
from whisper_server.process.settings import Settings
from whisper_server.speech.transcript import Segment


@pytest.fixture
def engines() -> tuple[ScriptedEngine, ScriptedEngine]:
    return ScriptedEngine(), ScriptedEngine()


@pytest.fixture
def servers(
    engines: tuple[ScriptedEngine, ScriptedEngine], settings: Settings
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with serving(engines[0], settings) as first, serving(engines[1], settings) as second:
        yield first, second


def test_what_one_server_takes_the_other_shows(servers: tuple[httpx.Client, httpx.Client]) -> None:
    first, second = servers
    job_id = submit(first, response_format="srt")["id"]
    assert finished(second, job_id)["result"].startswith("1\n00:00:00,000 --> 00:00:01,000\nGood morning.")
    assert [listed["id"] for listed in second.get("/jobs").json()["data"]] == [job_id]
    assert second.delete(f"/jobs/{job_id}").status_code == 200
    assert first.get(f"/jobs/{job_id}").status_code == 404


def test_a_worker_that_is_free_takes_what_waits(
    servers: tuple[httpx.Client, httpx.Client], engines: tuple[ScriptedEngine, ScriptedEngine]
) -> None:
    """Two jobs that one server took run at once, one on each."""
    for engine in engines:
        engine.go.clear()
    jobs = [submit(servers[0])["id"] for _ in range(2)]
    assert eventually(lambda: all(len(engine.asked) == 1 for engine in engines))
    assert [job(servers[1], job_id)["status"] for job_id in jobs] == ["in_progress"] * 2
    for engine in engines:
        engine.go.set()
    for job_id in jobs:
        assert finished(servers[1], job_id)["result"]["text"] == "Good morning. Fine day."
    assert [len(engine.asked) for engine in engines] == [1, 1], "none was done twice"


def test_a_job_is_cancelled_from_another_server(
    servers: tuple[httpx.Client, httpx.Client], engines: tuple[ScriptedEngine, ScriptedEngine]
) -> None:
    for engine in engines:
        engine.go.clear()
    job_id = submit(servers[0])["id"]
    assert eventually(lambda: sum(len(engine.asked) for engine in engines) == 1)
    other = servers[0] if engines[1].asked else servers[1]
    assert other.delete(f"/jobs/{job_id}").json()["status"] == "cancelled"
    for engine in engines:
        engine.go.set()
    assert finished(servers[0], submit(servers[0])["id"])["status"] == "completed"
    assert [job(server, job_id)["status"] for server in servers] == ["cancelled"] * 2
    busy = engines[1] if other is servers[0] else engines[0]
    assert eventually(lambda: busy.given % len(busy.segments) == 1), "it stopped at its next segment"


class SlowEngine(ScriptedEngine):
    """Takes half a minute for a recording."""

    def _speak(self) -> Generator[Segment, None, None]:
        for _ in range(500):
            for spoken in super()._speak():
                time.sleep(0.03)
                yield spoken


def test_a_job_of_a_server_that_stops_is_done_by_the_other(settings: Settings) -> None:
    leaving, staying = SlowEngine(), ScriptedEngine()
    with serving(staying, settings) as http:
        staying.go.clear()
        first = submit(http)["id"]
        assert eventually(lambda: len(staying.asked) == 1)
        with serving(leaving, settings) as other:
            second = submit(other)["id"]
            assert eventually(lambda: leaving.given > 0)
        assert job(http, second)["status"] == "queued"
        staying.go.set()
        for job_id in (first, second):
            assert finished(http, job_id)["result"]["text"] == "Good morning. Fine day."
        assert len(staying.asked) == 2
