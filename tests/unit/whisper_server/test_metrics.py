import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from whisper_server.process.metrics import CLIENTS, DESCRIPTIONS, Metrics

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


def test_work_is_counted_by_client_and_at_most_a_hundred_are_told_apart(http: httpx.Client) -> None:
    for client in ("phone", 'x"y\\', "phone"):
        http.post(URL, files=FILE, headers={"x-remote-user": client})
    http.post(URL, files=FILE)
    found = {
        client: value(http, "whisper_client_audio_seconds_total", client=client) for client in ("phone", 'x"y\\', "")
    }
    assert found == {"phone": 4.0, 'x"y\\': 2.0, "": 2.0}
    metrics = Metrics()
    for number in range(2 * CLIENTS):
        metrics.count_work("small", f"client-{number}", 1, 1)
    counted = [family for family in metrics.registry.collect() if family.name == "whisper_client_audio_seconds"]
    totals = {sample.labels["client"]: sample.value for sample in counted[0].samples if sample.name.endswith("_total")}
    assert (len(totals), totals["other"]) == (CLIENTS + 1, CLIENTS)


def test_jobs_are_counted_with_their_times(http: httpx.Client, engine: ScriptedEngine) -> None:
    assert value(http, "whisper_job_seconds_count", status="failed") == 0
    assert value(http, "whisper_oldest_job_seconds") == 0
    engine.go.clear()
    for _ in range(2):
        http.post(URL, files=FILE, headers={"prefer": "respond-async", "x-remote-user": "phone"})
    assert eventually(lambda: (value(http, "whisper_oldest_job_seconds") or 0) > 0)
    engine.go.set()
    assert eventually(lambda: value(http, "whisper_job_seconds_count", status="completed") == 2)
    assert value(http, "whisper_job_wait_seconds_count") == 2
    assert value(http, "whisper_oldest_job_seconds") == 0
    assert value(http, "whisper_client_audio_seconds_total", client="phone") == 4.0


def test_every_metric_is_described(http: httpx.Client) -> None:
    http.post(URL, files=FILE)
    names = {name for name, _ in samples(http) if name.startswith("whisper_") and not name.endswith("_created")}
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    assert names == {each.name + suffix for each in DESCRIPTIONS for suffix in suffixes[each.kind]}


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
