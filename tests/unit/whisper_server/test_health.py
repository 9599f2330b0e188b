import json

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from whisper_server.speech.errors import DiarizationUnavailable, ModelNotFound, ModelUnavailable, SpeechError
from whisper_server.work import preload
from whisper_server.work.preload import Preload


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


class TestThatFailsOnce:
    """Requests fetch and load what could not be had at the start, and are answered: so must monitors be."""

    @pytest.fixture(
        params=[ModelUnavailable("no hub"), ModelNotFound("no model"), ZeroDivisionError("a bug")], ids=lambda e: str(e)
    )
    def failure(self, request: pytest.FixtureRequest) -> Exception:
        failure: Exception = request.param
        return failure

    @pytest.fixture
    def engine(
        self, monkeypatch: pytest.MonkeyPatch, failure: Exception, capsys: pytest.CaptureFixture[str]
    ) -> "FailingEngine":
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(preload, "_RETRY_SECONDS", 0.1)
        return FailingEngine(failure)

    def test_is_ready_as_soon_as_it_can_be(
        self, http: httpx.Client, engine: "FailingEngine", failure: Exception, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert eventually(lambda: engine.attempts > 2)
        answer = http.get("/ready")
        assert answer.status_code in (404, 503)
        told = answer.json()["error"]["message"]
        assert told == str(failure) if isinstance(failure, SpeechError) else "log says why" in told
        engine.fails = None
        assert eventually(lambda: http.get("/ready").status_code == 200)
        attempts = engine.attempts
        assert http.get("/ready").json()["model"] == MODEL
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        said = [line for line in lines if "was not loaded" in line["event"]]
        assert len(said) == 1 < attempts, "the same reason is logged once"
        assert said[0]["level"] == "error"
        assert ("traceback" in said[0]) == (not isinstance(failure, SpeechError)), "of a bug"


class FailingEngine(ScriptedEngine):
    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.fails: Exception | None = failure
        self.attempts = 0

    def load(self, model: str) -> None:
        self.attempts += 1
        if self.fails is not None:
            raise self.fails
        super().load(model)


@pytest.mark.parametrize("failure", [DiarizationUnavailable("no token"), ZeroDivisionError("a bug")])
def test_diarization_that_cannot_be_checked_is_not_available(engine: ScriptedEngine, failure: Exception) -> None:
    class Check:
        def check(self) -> None:
            raise failure

    preloading = Preload(engine, Check())
    assert eventually(lambda: preloading.diarization_check is not None)
    check = preloading.diarization_check
    assert check is not None
    assert not check.available
    assert check.message == "no token" or "log says why" in (check.message or "")
