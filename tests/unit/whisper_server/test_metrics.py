import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import FILE

URL = "/v1/audio/transcriptions"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(http: httpx.Client) -> Samples:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(http: httpx.Client, name: str, **labels: str) -> float | None:
    return samples(http).get((name, frozenset(labels.items())))


def test_requests_and_work_are_counted(http: httpx.Client) -> None:
    for _ in range(2):
        http.post(URL, files=FILE)
    assert value(http, "whisper_audio_seconds_total", model=MODEL) == 4.0
    assert (value(http, "whisper_engine_seconds_total", model=MODEL) or 0) > 0
    assert value(http, "whisper_request_seconds_count", method="POST", route=URL, status="200") == 2
    assert value(http, "whisper_model_loaded", model=MODEL) == 1
    assert (value(http, "process_resident_memory_bytes") or 0) > 1e7


def test_addresses_that_clients_invent_make_no_new_lines(http: httpx.Client) -> None:
    for path in ("/a", "/b", "/c"):
        http.get(path)
        http.request("BREW", path)
    assert value(http, "whisper_request_seconds_count", method="", route="", status="404") == 6
    http.request("BREW", "/health")
    http.request("BREW", URL)
    assert value(http, "whisper_request_seconds_count", method="", route="/health", status="405") == 1
    assert not any("BREW" in str(key) for key in samples(http))


def test_what_runs_and_waits(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.go.clear()
    http.post(URL, files=FILE, headers={"prefer": "respond-async"})
    assert eventually(lambda: value(http, "whisper_jobs", status="in_progress") == 1)
    assert value(http, "whisper_jobs", status="failed") == 0
    assert value(http, "whisper_requests_in_queue") == 0
    assert http.get("/busy").json() == {"busy": 1, "requests": 0, "jobs": 1}
    engine.go.set()
    assert eventually(lambda: value(http, "whisper_jobs", status="completed") == 1)
    assert http.get("/busy").json() == {"busy": 0, "requests": 0, "jobs": 0}
