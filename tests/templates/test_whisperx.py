"""The Compose file of WhisperX and what is fetched for it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.templates.conftest import Evaluate, Render

DIARIZATION = "pyannote/speaker-diarization-community-1"
TOKEN = "hf_0123456789abcdef"


@pytest.fixture
def compose_file(render: Render, evaluate: Evaluate) -> Any:
    """Renders the Compose file of whisperx with variables of a user."""

    def compose(**variables: Any) -> dict[str, Any]:
        description = evaluate("whisperx", "__whisperx_description", **variables)
        file = render(
            "compose_service",
            "docker-compose.yml.j2",
            compose_service_description=description,
            __compose_service_tag="0123456789ab",
        )
        content: dict[str, Any] = yaml.safe_load(file)
        return content

    return compose


def models(evaluate: Evaluate, **variables: Any) -> list[str]:
    return [model["id"] for model in evaluate("whisperx", "__whisperx_models", **variables)["models"]]


def test_the_service_is_the_one_of_the_guide(compose_file: Any) -> None:
    service = compose_file()["services"]["whisperx"]
    assert service["image"] == "whisperx:0123456789ab"
    assert service["container_name"] == "whisperx"
    assert service["restart"] == "no"
    assert service["ports"] == ["127.0.0.1:8002:8002"]
    assert service["environment"]["TZ"] == "Europe/Paris"
    assert "/root/.cache/huggingface:/cache/huggingface" in service["volumes"]


def test_the_container_is_confined(compose_file: Any) -> None:
    service = compose_file()["services"]["whisperx"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] == "2g"
    assert "cpus" not in service


def test_limits_come_from_variables(compose_file: Any) -> None:
    service = compose_file(whisperx_cpus=1.5, whisperx_memory="900m", whisperx_port=9002)["services"]["whisperx"]
    assert service["cpus"] == 1.5
    assert service["mem_limit"] == "900m"
    assert service["ports"] == ["127.0.0.1:9002:8002"]


def test_the_token_is_a_file_and_nowhere_else(compose_file: Any, evaluate: Evaluate) -> None:
    file = compose_file(whisperx_hf_token=TOKEN)
    service = file["services"]["whisperx"]
    assert TOKEN not in str(file)
    assert TOKEN not in str(evaluate("whisperx", "__whisperx_models", whisperx_hf_token=TOKEN))
    assert "./secrets:/run/secrets:ro" in service["volumes"]
    assert service["environment"]["HF_TOKEN_PATH"] == "/run/secrets/hf_token"
    assert "env_file" not in service
    assert file == compose_file(), "another token is no other container"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torch_comes_from_the_index_for_the_device(compose_file: Any, device: str) -> None:
    service = compose_file(whisperx_device=device)["services"]["whisperx"]
    assert service["build"]["args"]["BASE_IMAGE"] == "python:3.11-slim"
    assert service["build"]["args"]["TORCH_INDEX_URL"].rpartition("/")[2].startswith(device[:2])
    assert ("deploy" in service) == (device == "cuda")


def test_wheels_are_part_of_the_build_context(evaluate: Evaluate) -> None:
    def folders(**variables: Any) -> dict[str, str]:
        description = evaluate("whisperx", "__whisperx_description", **variables)
        return {folder.get("dest", ""): Path(folder["src"]).name for folder in description["context"]}

    assert folders() == {"": "whisperx", "whisper_server": "whisper_server"}
    assert folders(whisperx_wheels_folder="/srv/wheels") == folders() | {"wheels": "wheels"}


def test_a_mirror_or_a_folder_of_models(compose_file: Any) -> None:
    mirror = compose_file(whisperx_hub_endpoint="https://hub.example.com")["services"]["whisperx"]["environment"]
    assert mirror["HF_ENDPOINT"] == "https://hub.example.com"
    assert "HF_HUB_OFFLINE" not in mirror
    folder = compose_file(whisperx_models_folder="/srv/models")["services"]["whisperx"]["environment"]
    assert folder["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["Systran/faster-whisper-base"]),
        ({"whisperx_preload": ["tiny", "acme/whisper"]}, ["Systran/faster-whisper-tiny", "acme/whisper"]),
        ({"whisperx_hf_token": TOKEN}, ["Systran/faster-whisper-base", DIARIZATION]),
        ({"whisperx_models_folder": "/srv/models"}, ["Systran/faster-whisper-base", DIARIZATION]),
        ({"whisperx_hf_token": TOKEN, "whisperx_diarize_model": ""}, ["Systran/faster-whisper-base"]),
        ({"whisperx_diarize_model": "/srv/diarization"}, ["Systran/faster-whisper-base"]),
        ({"whisperx_alignment_languages": ["en", "pt=acme/pt"]}, ["Systran/faster-whisper-base", "acme/pt"]),
    ],
)
def test_what_is_fetched(evaluate: Evaluate, variables: dict[str, Any], expected: list[str]) -> None:
    assert models(evaluate, **variables) == expected


@pytest.mark.parametrize(
    ("variables", "known"),
    [
        ({}, DIARIZATION),
        ({"whisperx_diarize_model": "acme/diarization"}, "acme/diarization"),
        ({"whisperx_diarize_model": "/srv/diarization"}, "/cache/huggingface/diarization"),
        ({"whisperx_diarize_model": ""}, ""),
    ],
)
def test_how_the_server_knows_the_diarization_model(compose_file: Any, variables: dict[str, Any], known: str) -> None:
    environment = compose_file(**variables)["services"]["whisperx"]["environment"]
    assert environment["WHISPER__DIARIZE_MODEL"] == known


def test_the_server_knows_the_languages_to_align_and_the_models_to_allow(compose_file: Any) -> None:
    environment = compose_file(
        whisperx_alignment_languages=["fr", "pt=acme/pt"], whisperx_allowed_models=["small", "acme/*"]
    )["services"]["whisperx"]["environment"]
    assert environment["WHISPER__ALIGN_MODELS"] == "fr,pt=acme/pt"
    assert environment["WHISPER__ALLOWED_MODELS"] == "small,acme/*"
    assert environment["TORCH_HOME"] == "/cache/huggingface/torch"


@pytest.mark.parametrize(
    ("token", "possible"), [("", True), (TOKEN, True), ("hf_", False), ("secret", False), ("hf_a b", False)]
)
def test_what_can_be_a_token(evaluate: Evaluate, token: str, possible: bool) -> None:
    assert evaluate("whisperx", "__whisperx_token_is_possible", whisperx_hf_token=token) is possible


def test_the_file_for_people_is_the_one_of_the_guide(render: Render) -> None:
    lines = render("whisperx", "env.j2", whisperx_hf_token=TOKEN).splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [f"HF_TOKEN={TOKEN}"]
