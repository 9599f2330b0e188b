import httpx
import openai
import pytest

from tests.unit.whisper_api.scripted_engine import MODEL


def test_models_as_openai_s_client_sees_them(http: httpx.Client) -> None:
    client = openai.OpenAI(base_url=str(http.base_url.join("/v1")), api_key="unused")
    (model,) = client.models.list()
    assert model.model_dump(exclude_none=True) == {
        "id": MODEL,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "scripted",
    }
    assert client.models.retrieve("whisper-1") == client.models.retrieve(MODEL) == model


@pytest.mark.parametrize("name", ["nope", "a/b/c", "..%2f..%2fetc%2fpasswd"])
def test_an_unknown_model(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert answer.json()["error"]["param"] == "model"
