import json

import httpx
import openai
import pytest

from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from whisper_server.speech.errors import ModelUnavailable


def test_models_as_openai_s_client_sees_them(http: httpx.Client) -> None:
    client = openai.OpenAI(base_url=str(http.base_url.join("/v1")), api_key="unused")
    (model,) = client.models.list()
    assert model.model_dump(exclude_none=True) == {
        "id": MODEL,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "scripted",
        "loaded": True,
    }
    assert client.models.retrieve("whisper-1") == client.models.retrieve(MODEL) == model


@pytest.mark.parametrize("name", ["nope", "a/b/c", "..%2f..%2fetc%2fpasswd"])
def test_an_unknown_model(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert answer.json()["error"]["param"] == "model"


def test_fetching(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.in_memory.clear()
    answer = http.post(f"/v1/models/{MODEL}")
    assert (answer.status_code, answer.json()["id"], answer.json()["loaded"]) == (200, MODEL, True)


def test_fetching_with_progress(http: httpx.Client) -> None:
    answer = http.post(f"/v1/models/{MODEL}?stream=true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data:")]
    assert events[0] == {"type": "model.pull.progress", "completed": 100, "total": 100}
    assert (events[-1]["type"], events[-1]["model"]["id"]) == ("model.pull.done", MODEL)


def test_fetching_that_fails(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.load_failure = ModelUnavailable("no hub")
    answer = http.post(f"/v1/models/{MODEL}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert '"code":"model_unavailable"' in http.post(f"/v1/models/{MODEL}?stream=true").text
    assert http.post("/v1/models/some/other").status_code == 404


def test_unloading(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.in_memory.add(MODEL)
    expected = {"id": MODEL, "object": "model", "unloaded": True, "deleted": False}
    assert http.delete(f"/v1/models/{MODEL}").json() == expected
    assert http.delete(f"/v1/models/{MODEL}").json() == {**expected, "unloaded": False}
    engine.in_use = True
    answer = http.delete(f"/v1/models/{MODEL}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_in_use")


def test_deleting_what_is_protected(http: httpx.Client) -> None:
    answer = http.delete(f"/v1/models/{MODEL}?files=true")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_protected")
