"""A server that reaches nothing, from inside and through its public address."""

import json
import os
import re
from pathlib import Path

import pytest
import requests
from testinfra.host import Host

PORT = 31443
SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
AUTHORITY = str(SCENARIO / "ca.pem")
SPEECH = Path(__file__).parents[3] / ".cache/speech"
NOVEL = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
CONVERSATION = SPEECH / "pyannote/sample.wav"
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
SERVICES = ("faster-whisper", "whisperx")


def test_the_server_reaches_neither_its_mirror_nor_the_hub(host: Host) -> None:
    mirrors = host.check_output("sed -n 's|^URIs: https\\?://||p' /etc/apt/sources.list.d/debian.sources").split()
    assert mirrors
    for name in [*(mirror.partition("/")[0] for mirror in mirrors), "huggingface.co"]:
        resolved = host.run("timeout 20 getent hosts %s", name)
        assert resolved.rc != 0, resolved.stdout
    assert "Network is unreachable" in host.run("ping -c 1 -W 1 198.51.100.1 || ip route get 198.51.100.1").stderr


def test_it_gives_a_transcript() -> None:
    with NOVEL.open("rb") as file:
        answer = requests.post(
            f"https://whisper.airgapped.localhost:{PORT}/v1/audio/transcriptions",
            headers=KEY,
            files={"file": file},
            data={"model": "whisper-1", "language": "en"},
            verify=AUTHORITY,
            timeout=120,
        )
    assert answer.status_code == 200, answer.text
    assert "leisure to consider" in answer.json()["text"]


def test_it_tells_who_speaks() -> None:
    with CONVERSATION.open("rb") as file:
        answer = requests.post(
            f"https://whisperx.airgapped.localhost:{PORT}/transcribe",
            headers=KEY,
            files={"file": file},
            data={"language": "en", "diarize": "true"},
            verify=AUTHORITY,
            timeout=300,
        )
    assert answer.status_code == 200, answer.text
    segments = answer.json()["segments"]
    assert "originally from chicago" in " ".join(segment["text"] for segment in segments).lower()
    assert len({segment["speaker"] for segment in segments} - {"UNKNOWN"}) == 2


def test_all_packages_that_were_installed_came_from_the_archive(host: Host) -> None:
    """Those of the roles, and what they depend on: apt knows no other source."""
    assert re.findall(r"\bhttps?:", host.check_output("apt-cache policy")) == []
    policy = host.check_output("apt-cache policy docker.io nginx fail2ban certbot")
    assert policy.count("file:/var/lib/whisper-services/packages") == 4


def test_apt_still_works(host: Host) -> None:
    assert host.run("apt-get update --error-on=any").rc == 0
    assert host.run("apt-get install --simulate --yes --no-install-recommends certbot gpg gpg-agent").rc == 0


def test_the_images_are_those_of_the_archive(host: Host) -> None:
    inspect = f"docker container inspect --format '{{{{.Config.Image}}}}' {' '.join(SERVICES)}"
    deployed = host.check_output(inspect).split()
    (bundle,) = (SCENARIO / "bundle").glob("*.unpacked")
    archives = {path.name for path in (bundle / "images").iterdir()}
    assert archives == {f"{image.replace(':', '-')}.tar.gz" for image in deployed}


def test_the_models_are_those_of_the_archive(host: Host) -> None:
    (bundle,) = (SCENARIO / "bundle").glob("*.unpacked")
    (model,) = (bundle / "models").rglob("model.bin")
    deployed = host.check_output(
        "find /root/.cache/huggingface/hub -name model.bin -exec stat --dereference --format %s {} +"
    )
    assert deployed == str(model.stat().st_size)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_does_not_ask_the_hub(host: Host, service: str) -> None:
    assert "HF_HUB_OFFLINE=1" in json.loads(
        host.check_output("docker container inspect --format '{{json .Config.Env}}' %s", service)
    )
