"""/openapi.json as a contract: schemathesis calls every operation with what the schema allows and what it does not."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import ignored_auth

from tests.unit.whisper_server.conftest import serving
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO
from whisper_server.process.settings import Settings


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(ScriptedEngine(), Settings(data_folder=tmp_path_factory.mktemp("data"))) as client:
        yield client


OPERATIONS = [
    "GET /health",
    "GET /ready",
    "GET /busy",
    "GET /metrics",
    "POST /v1/audio/transcriptions",
    "POST /v1/audio/translations",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "POST /v1/models/{model}",
    "DELETE /v1/models/{model}",
    "GET /jobs",
    "GET /jobs/{job_id}",
    "DELETE /jobs/{job_id}",
]


def operations(served: httpx.Client) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(str(served.base_url.join("/openapi.json")))
    found: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    return {operation.label: operation for operation in found}


def test_these_are_all_operations(served: httpx.Client) -> None:
    assert set(OPERATIONS) == set(operations(served))


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_operation_keeps_its_word(served: httpx.Client, label: str, mode: str) -> None:
    operation = operations(served)[label]
    generation = schemathesis.GenerationMode(mode)

    @given(case=operation.as_strategy(generation_mode=generation))
    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def calls(case: schemathesis.Case[Any]) -> None:
        if mode == "positive" and isinstance(case.body, dict):
            # Nothing that is generated is a recording: without this no call would get past the decoder.
            case.body["file"] = AUDIO  # type: ignore[assignment]
            if "track" in case.body:
                case.body["track"] = 1  # the only one that this recording has
        # Who may call is for the proxy to judge: tests/api asks it.
        case.call_and_validate(excluded_checks=[ignored_auth])

    try:
        calls()
    except Unsatisfiable:
        # There is no wrong way to call an operation without parameters.
        assert mode == "negative"
        assert not list(operation.iter_parameters())
        assert not operation.body
