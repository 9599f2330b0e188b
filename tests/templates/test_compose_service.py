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


def test_what_the_server_allows(compose_file: Any) -> None:
    environment = compose_file(
        whisper_faster_allowed_models=["large-v3", "Systran/*"],
        whisper_faster_audio_limit=600,
        whisper_faster_model_ttl=-1,
        whisper_faster_job_ttl=60,
    )["services"]["faster-whisper"]["environment"]
    expected = {
        "WHISPER__ALLOWED_MODELS": "large-v3,Systran/*",
        "WHISPER__AUDIO_LIMIT": "600",
        "WHISPER__TTL": "-1",
        "WHISPER__JOB_TTL": "60",
    }
    assert expected.items() <= environment.items()
    assert compose_file()["services"]["faster-whisper"]["environment"]["WHISPER__ALLOWED_MODELS"] == ""


def test_a_gpu_is_reserved_and_the_image_has_its_libraries(compose_file: Any) -> None:
    service = compose_file(whisper_faster_device="cuda", whisper_faster_compute_type="float16")["services"][
        "faster-whisper"
    ]
    assert service["environment"]["WHISPER__INFERENCE_DEVICE"] == "cuda"
    assert service["environment"]["LD_LIBRARY_PATH"].startswith(
        "/opt/conda/lib/python3.11/site-packages/nvidia/cublas/lib:/opt/conda/lib/python3.11/site-packages/nvidia/cudnn/lib"
    )
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert "cuda12" in service["build"]["args"]["BASE_IMAGE"]
    cpu = compose_file()["services"]["faster-whisper"]
    assert "deploy" not in cpu
    assert "LD_LIBRARY_PATH" not in cpu["environment"]


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
