"""The Compose files of the services, as Compose and a person read them."""

from typing import Any

import pytest
import yaml

from tests.templates.conftest import Evaluate, Render

TAG = "0123456789ab"


@pytest.fixture
def compose_file(render: Render, evaluate: Evaluate) -> Any:
    """Renders the Compose file of whisper_faster with variables of a user."""

    def compose(**variables: Any) -> dict[str, Any]:
        description = evaluate("whisper_faster", "__whisper_faster_description", **variables)
        file = render(
            "compose_service",
            "docker-compose.yml.j2",
            compose_service_description=description,
            __compose_service_tag=TAG,
        )
        content: dict[str, Any] = yaml.safe_load(file)
        return content

    return compose


def test_the_service_is_the_one_of_the_guide(compose_file: Any) -> None:
    service = compose_file()["services"]["faster-whisper"]
    assert service["image"] == "whisper-faster:0123456789ab"
    assert service["container_name"] == "faster-whisper"
    assert service["restart"] == "no"
    assert service["ports"] == ["127.0.0.1:8001:8000"]
    expected = {
        "WHISPER__MODEL": "Systran/faster-whisper-small",
        "WHISPER__INFERENCE_DEVICE": "cpu",
        "UVICORN_HOST": "0.0.0.0",  # noqa: S104 - inside the container; published on the loopback only
        "UVICORN_PORT": "8000",
        "TZ": "Europe/Paris",
    }
    assert expected.items() <= service["environment"].items()
    assert "/root/.cache/huggingface:/cache/huggingface" in service["volumes"]
    assert service["build"] == {"context": ".", "args": {"BASE_IMAGE": "python:3.11-slim"}}


def test_the_container_is_confined(compose_file: Any) -> None:
    service = compose_file()["services"]["faster-whisper"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] == "2g"
    assert "cpus" not in service


def test_limits_come_from_variables(compose_file: Any) -> None:
    service = compose_file(whisper_faster_cpus=1.5, whisper_faster_memory="900m", whisper_faster_port=9001)["services"][
        "faster-whisper"
    ]
    assert service["cpus"] == 1.5
    assert service["mem_limit"] == "900m"
    assert service["ports"] == ["127.0.0.1:9001:8000"]


def test_a_mirror_or_a_folder_of_models(compose_file: Any) -> None:
    mirror = compose_file(whisper_faster_hub_endpoint="https://hub.example.com")["services"]["faster-whisper"]
    assert mirror["environment"]["HF_ENDPOINT"] == "https://hub.example.com"
    assert "HF_HUB_OFFLINE" not in mirror["environment"]
    folder = compose_file(whisper_faster_models_folder="/srv/models")["services"]["faster-whisper"]
    assert folder["environment"]["HF_HUB_OFFLINE"] == "1"


def test_a_ready_image_keeps_the_names_of_the_guide(compose_file: Any) -> None:
    image = "fedirz/faster-whisper-server:latest-cpu"
    content = compose_file(whisper_faster_image=image)
    service = content["services"]["faster-whisper"]
    assert service["image"] == image
    assert "build" not in service
    assert "read_only" not in service
    assert service["volumes"] == ["/root/.cache/huggingface:/root/.cache/huggingface"]
    assert service["environment"]["WHISPER__MODEL"] == "Systran/faster-whisper-small"
    assert "volumes" not in content


def test_every_change_changes_the_label(compose_file: Any) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"whisper_faster_memory": "3g"},
        {"whisper_faster_environment": {"A": "1"}},
        {"whisper_faster_base_image": "python:3.12-slim"},
    ]
    labels = [
        compose_file(**variant)["services"]["faster-whisper"]["labels"]["whisper-services.configuration"]
        for variant in variants
    ]
    assert len(set(labels)) == len(variants)
    assert compose_file()["services"]["faster-whisper"]["labels"]["whisper-services.configuration"] == labels[0]
