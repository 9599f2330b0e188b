"""What the roles of the services want fetched, and when a model in the cache counts as whole."""

from typing import Any

import pytest

from tests.templates.conftest import Evaluate

MODEL = {"id": "acme/model", "files": [r"config\.json", r"(pytorch_model\.bin|model\.safetensors)"]}
SNAPSHOT = "/cache/hub/models--acme--model/snapshots/0123"
REFS = "/cache/hub/models--acme--model/refs/main"


@pytest.mark.parametrize(
    ("paths", "whole"),
    [
        ([], False),
        ([REFS, f"{SNAPSHOT}/config.json", f"{SNAPSHOT}/model.safetensors"], True),
        ([REFS, f"{SNAPSHOT}/config.json", f"{SNAPSHOT}/pytorch_model.bin"], True),
        ([REFS, f"{SNAPSHOT}/config.json"], False),
        ([f"{SNAPSHOT}/config.json", f"{SNAPSHOT}/model.safetensors"], False),
        ([REFS, f"{SNAPSHOT}/config.json", f"{SNAPSHOT}/other_model.safetensors"], False),
        ([REFS, f"{SNAPSHOT}/config.json", "/cache/hub/models--acme--other/snapshots/0123/model.safetensors"], False),
    ],
)
def test_a_model_is_whole_when_each_file_is_there(evaluate: Evaluate, paths: list[str], whole: bool) -> None:
    found: dict[str, Any] = {"stdout_lines": paths}
    variables = {"__model_cache_wanted": MODEL, "__model_cache_found": found}
    assert evaluate("model_cache", "__model_cache_is_whole", **variables) is whole


def test_faster_whisper_wants_what_ctranslate2_needs(evaluate: Evaluate) -> None:
    wanted = evaluate("whisper_faster", "__whisper_faster_models", whisper_faster_preload=["acme/a", "acme/b"])[
        "models"
    ]
    assert [model["id"] for model in wanted] == ["acme/a", "acme/b"]
    assert wanted[0]["files"] == [r"model\.bin", r"config\.json", r"tokenizer\.json"]
