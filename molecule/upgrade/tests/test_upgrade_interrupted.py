"""What goes wrong in the middle of an upgrade: the service goes on, and the next run ends what the last one began.

The tests run in this order, on the host that test_upgrade.py leaves.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from testinfra.host import Host

from testbed.checkout import Checkout

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SERVER = "whisper-upgrade"
URL = "https://whisper.upgrade.localhost:19443"
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
UPGRADE = "playbooks/upgrade.yml"
BUILD, START = "TASK [compose_service : Build | Build the image", "TASK [compose_service : Start | Start the stack"
BOOT = 60.0
"""Seconds for a server to boot and to serve."""

RETRIED = "FAILED - RETRYING: [whisper-upgrade]: Build | Build the image"
REGISTRY = "localhost:5000/python:3.11-slim"
REGISTRY_CONFIGURATION = {
    "version": "0.1",
    "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
    "http": {"addr": "127.0.0.1:5000"},
}


def image(host: Host) -> str:
    """The image of the container of the service."""
    return str(host.check_output("docker container inspect --format '{{.Config.Image}}' faster-whisper"))


def answers() -> bool:
    try:
        answer = requests.get(f"{URL}/v1/models", headers=KEY, verify=str(EPHEMERAL / "ca.pem"), timeout=60)
    except requests.RequestException:
        return False
    return answer.status_code == 200


def upgrade(checkout: Checkout) -> None:
    """Upgrade as if nothing had happened."""
    status, printed = checkout.run(UPGRADE)
    assert status == 0, printed[-3000:]


@pytest.fixture
def checkout(checkout: Checkout, request: pytest.FixtureRequest) -> Checkout:
    """A version that no other test has."""
    checkout.add_to_server(f"\n# {request.node.name}\n")
    return checkout


def test_after_ctrl_c_the_version_in_force_serves_and_the_next_run_upgrades(
    host: Host, checkout: Checkout, tmp_path: Path
) -> None:
    before = image(host)
    run = checkout.start(UPGRADE, log=tmp_path / "log")
    run.wait_for(BUILD)
    run.press_ctrl_c()
    status, printed = run.end()
    assert status != 0
    assert "interrupted" in printed.lower()
    assert image(host) == before
    assert answers()
    upgrade(checkout)
    assert image(host) != before


@pytest.mark.parametrize("task", [BUILD, START])
def test_a_host_that_vanishes_serves_when_it_is_back_and_the_next_run_upgrades(
    host: Host, checkout: Checkout, tmp_path: Path, task: str
) -> None:
    before = image(host)
    run = checkout.start(UPGRADE, log=tmp_path / "log")
    run.wait_for(task)
    # As by a power cut: nothing on it is told.
    subprocess.run(["docker", "kill", SERVER], check=True, capture_output=True)
    try:
        status, printed = run.end()
    finally:
        subprocess.run(["docker", "start", SERVER], check=True, capture_output=True)
    assert status != 0
    assert "UNREACHABLE" in printed
    deadline = time.monotonic() + BOOT
    while not answers():
        assert time.monotonic() < deadline, printed[-3000:]
        time.sleep(1)
    upgrade(checkout)
    assert image(host) != before
    assert answers()


@pytest.fixture
def small_disk(host: Host) -> Iterator[None]:
    """Docker has 100 MB to write, on a file system of its own."""
    host.check_output(
        "set -e; systemctl stop docker.socket docker.service; mkdir /run/small; "
        "mount -t tmpfs -o size=$(($(du -sm /var/lib/docker | cut -f 1) + 100))M small /run/small; "
        "cp -a /var/lib/docker/. /run/small; mount --bind /run/small /var/lib/docker; systemctl start docker.service"
    )
    yield
    host.check_output(
        "set -e; systemctl stop docker.socket docker.service; umount /var/lib/docker /run/small; rmdir /run/small; "
        "systemctl start docker.service"
    )


@pytest.mark.usefixtures("small_disk")
def test_a_disk_that_is_full_during_the_build_costs_the_service_nothing(host: Host, checkout: Checkout) -> None:
    before = image(host)
    checkout.add_to_server("RUN head --bytes 200M /dev/urandom >/tmp/ballast\n", "Dockerfile")
    status, printed = checkout.run(UPGRADE)
    assert status != 0
    assert "no space left on device" in printed.lower()
    assert "was rolled back to its previous versions, which were verified" in printed
    assert image(host) == before
    assert answers()


def test_a_registry_that_fails_once_costs_a_retry(host: Host, checkout: Checkout, tmp_path: Path) -> None:
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends docker-registry"
    host.check_output(f"apt-get update -q && {install}")
    # Debian's own configuration asks for a password.
    host.check_output(f"echo '{json.dumps(REGISTRY_CONFIGURATION)}' >/etc/docker/registry/config.yml")
    host.check_output("systemctl restart docker-registry")
    host.check_output(f"docker tag python:3.11-slim {REGISTRY} && docker push --quiet {REGISTRY}")
    host.check_output(f"docker image rm {REGISTRY} && systemctl stop docker-registry")
    before = image(host)
    run = checkout.start(UPGRADE, "--extra-vars", f"whisper_faster_base_image={REGISTRY}", log=tmp_path / "log")
    run.wait_for(RETRIED)
    host.check_output("systemctl start docker-registry")
    status, printed = run.end()
    assert status == 0, printed[-3000:]
    assert image(host) != before
    assert answers()
