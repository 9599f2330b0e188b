"""Which server has which service, and where its image is from."""

import os
import subprocess
from pathlib import Path

import pytest
import requests
import testinfra
from testinfra.host import Host

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}

# Server → its service, that service's folder, and its public address.
SERVERS = {
    "whisper-multi-a": ("faster-whisper", "/opt/whisper-faster", "https://whisper.a.multi.localhost:25443"),
    "whisper-multi-b": ("faster-whisper", "/opt/whisper-faster", "https://whisper.b.multi.localhost:26443"),
    "whisper-multi-c": ("whisperx", "/opt/whisperx", "https://whisperx.c.multi.localhost:27443"),
}
FOLDERS = {folder for _, folder, _ in SERVERS.values()}

every_server = pytest.mark.parametrize("server", SERVERS)


def host_of(server: str) -> Host:
    return testinfra.get_host(f"docker://{server}")


@every_server
def test_a_server_has_the_service_of_its_group_and_no_other(server: str) -> None:
    host, (service, folder, _) = host_of(server), SERVERS[server]
    assert host.check_output("docker container ls --all --format '{{.Names}}'").split() == [service]
    assert {path for path in FOLDERS if host.file(path).exists} == {folder}


@every_server
def test_it_answers_at_its_own_address(server: str) -> None:
    _, _, url = SERVERS[server]
    answer = requests.get(f"{url}/v1/models", headers=KEY, verify=str(EPHEMERAL / f"{server}.pem"), timeout=120)
    assert answer.status_code == 200, answer.text


@every_server
def test_the_image_is_that_of_the_control_machine_and_was_not_built_there(server: str) -> None:
    host, (service, _, _) = host_of(server), SERVERS[server]
    name = host.check_output("docker container inspect --format '{{.Config.Image}}' %s", service)
    inspect = ["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", name]
    here = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()
    assert host.check_output(" ".join(f"'{word}'" for word in inspect)) == here
    # A build there would have left its base image and its steps.
    assert len(set(host.check_output("docker image ls --all --quiet --no-trunc").split())) == 1


def test_the_same_service_has_the_same_image_everywhere() -> None:
    inspect = "docker container inspect --format '{{.Image}}' faster-whisper"
    assert len({host_of(server).check_output(inspect) for server in ("whisper-multi-a", "whisper-multi-b")}) == 1
