import httpx
import pytest

from tests.unit.whisper_api.conftest import eventually
from tests.unit.whisper_api.scripted_engine import MODEL, ScriptedEngine
from whisper_api.engine import ModelUnavailable


def test_health(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}


def test_ready_once_the_default_model_is_loaded(http: httpx.Client) -> None:
    assert eventually(lambda: http.get("/ready").status_code == 200)
    assert http.get("/ready").json() == {"status": "ready", "model": MODEL}


class TestWithoutItsModel:
    @pytest.fixture
    def engine(self) -> ScriptedEngine:
        engine = ScriptedEngine()
        engine.load_failure = ModelUnavailable("the hub cannot be reached", retry_after=9)
        return engine

    def test_not_ready_says_why_and_health_does_not_mind(self, http: httpx.Client) -> None:
        assert eventually(lambda: "hub" in http.get("/ready").text)
        answer = http.get("/ready")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "9")
        assert answer.json()["error"]["code"] == "model_unavailable"
        assert http.get("/health").status_code == 200
