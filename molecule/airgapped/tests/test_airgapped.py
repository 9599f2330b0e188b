"""A server that reaches nothing, from inside and through its public address."""

import json
import os
from pathlib import Path

import pytest
import requests
from testinfra.host import Host

URL = "https://whisper.airgapped.localhost:31443"
SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
RECORDING = Path(__file__).parents[3] / ".cache/speech/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}


@pytest.mark.parametrize("name", ["deb.debian.org", "pypi.org", "huggingface.co"])
def test_the_server_reaches_neither_mirror_nor_index_nor_hub(host: Host, name: str) -> None:
    resolved = host.run("timeout 20 getent hosts %s", name)
    assert resolved.rc != 0, resolved.stdout
    assert "Network is unreachable" in host.run("ping -c 1 -W 1 198.51.100.1 || ip route get 198.51.100.1").stderr


def test_it_gives_a_transcript() -> None:
    with RECORDING.open("rb") as file:
        answer = requests.post(
            f"{URL}/v1/audio/transcriptions",
            headers=KEY,
            files={"file": file},
            data={"model": "whisper-1", "language": "en"},
            verify=str(SCENARIO / "ca.pem"),
            timeout=120,
        )
    assert answer.status_code == 200, answer.text
    assert "leisure to consider" in answer.json()["text"]


def test_all_packages_that_were_installed_came_from_the_archive(host: Host) -> None:
    """Those of the roles, and what they depend on: apt knows no other source."""
    assert "deb.debian.org" not in host.check_output("apt-cache policy")
    policy = host.check_output("apt-cache policy docker.io nginx fail2ban certbot")
    assert policy.count("file:/var/lib/whisper-services/packages") == 4


def test_apt_still_works(host: Host) -> None:
    assert host.run("apt-get update --error-on=any").rc == 0
    assert host.run("apt-get install --simulate --yes --no-install-recommends certbot gpg gpg-agent").rc == 0


def test_the_image_is_the_one_of_the_archive(host: Host) -> None:
    deployed = host.check_output("docker container inspect --format '{{.Config.Image}}' faster-whisper")
    (bundle,) = (SCENARIO / "bundle").glob("*.unpacked")
    assert [path.name for path in (bundle / "images").iterdir()] == [f"{deployed.replace(':', '-')}.tar"]


def test_the_models_are_those_of_the_archive(host: Host) -> None:
    (bundle,) = (SCENARIO / "bundle").glob("*.unpacked")
    (model,) = (bundle / "models").rglob("model.bin")
    deployed = host.check_output(
        "find /root/.cache/huggingface/hub -name model.bin -exec stat --dereference --format %s {} +"
    )
    assert deployed == str(model.stat().st_size)
    assert "HF_HUB_OFFLINE=1" in json.loads(
        host.check_output("docker container inspect --format '{{json .Config.Env}}' faster-whisper")
    )
