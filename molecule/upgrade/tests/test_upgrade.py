"""Upgrades of a deployed host as an operator makes them, seen by a client that keeps asking.

The tests run in this order, on one host. A version is a copy of the project with another server in it.
"""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from testinfra.host import Host

from testbed.checkout import Checkout

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
URL = "https://whisper.upgrade.localhost:19443"
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
RETRIES = 30
"""How often the client asks again, a second after a refusal."""

PATIENT_START = 60.0
"""Seconds for the container to be replaced and to start, on two cores that also run the tests."""


@dataclass
class Client:
    """Asks for the models again and again. `longest` is the longest time in seconds that it had to ask until it was
    answered, `lost` what was never answered, `refused` the statuses on the way."""

    longest: float = 0.0
    lost: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    answered: int = 0

    def ask(self) -> None:
        began = time.monotonic()
        for _ in range(RETRIES):
            try:
                answer = requests.get(f"{URL}/v1/models", headers=KEY, verify=str(EPHEMERAL / "ca.pem"), timeout=120)
                outcome = str(answer.status_code)
            except requests.RequestException as error:
                outcome = type(error).__name__
            if outcome == "200":
                self.answered += 1
                self.longest = max(self.longest, time.monotonic() - began)
                return
            self.refused.append(outcome)
            time.sleep(1)
        self.lost.append(self.refused[-1])


@contextmanager
def asking() -> Iterator[Client]:
    """A client that asks for as long as the block runs."""
    client, ended = Client(), threading.Event()

    def ask() -> None:
        while not ended.wait(0.5):
            client.ask()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield client
    finally:
        ended.set()
        thread.join()
        print(client)


def image(host: Host) -> str:
    """The image of the container of the service."""
    return str(host.check_output("docker container inspect --format '{{.Config.Image}}' faster-whisper"))


def images(host: Host) -> set[str]:
    """The images of all versions on the host."""
    return set(host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}' whisper-faster").split())


@pytest.fixture(scope="module")
def first(host: Host) -> str:
    """The image that the scenario deployed, with the service awake."""
    host.check_output("docker-autostart start faster-whisper")
    return image(host)


def test_an_upgrade_loses_no_request_of_a_client_that_retries(host: Host, checkout: Checkout, first: str) -> None:
    checkout.add_to_server("\n# A version with another line.\n")
    with asking() as client:
        status, printed = checkout.run("playbooks/upgrade.yml")
    assert status == 0, printed[-3000:]
    second = image(host)
    assert second != first
    assert images(host) == {first, second}
    assert client.lost == []
    assert client.longest < PATIENT_START


def test_a_rollback_asks_which_service_is_meant(host: Host, checkout: Checkout) -> None:
    before = image(host)
    status, printed = checkout.run("playbooks/rollback.yml")
    assert status != 0
    assert "--tags whisper_faster" in printed
    assert image(host) == before


def test_one_command_goes_back(host: Host, checkout: Checkout, first: str) -> None:
    assert image(host) != first
    status, printed = checkout.run("playbooks/rollback.yml", "--tags", "whisper_faster")
    assert status == 0, printed[-3000:]
    assert image(host) == first
    status, printed = checkout.run("playbooks/rollback.yml", "--tags", "whisper_faster")
    assert status != 0
    assert "has no previous version of faster-whisper to roll back to" in printed


def test_a_version_without_transcripts_undoes_itself(host: Host, checkout: Checkout) -> None:
    before = image(host)
    compose_file = host.file("/opt/whisper-faster/docker-compose.yml").sha256sum
    # It starts and is healthy: only a real request tells.
    checkout.add_to_server('\n\n@app.middleware("http")\nasync def broken(request, call_next):\n')
    checkout.add_to_server('    if "/transcriptions" in request.url.path:\n')
    checkout.add_to_server('        raise RuntimeError("broken version")\n')
    checkout.add_to_server("    return await call_next(request)\n")
    with asking() as client:
        status, printed = checkout.run("playbooks/upgrade.yml")
    assert status != 0
    assert "was not upgraded and was rolled back to its previous versions" in printed
    assert re.search(r"What failed: \S*\s*Transcription \| Check it", printed), printed[-3000:]
    assert client.lost == []
    assert image(host) == before
    assert host.file("/opt/whisper-faster/docker-compose.yml").sha256sum == compose_file
    assert "broken version" not in host.file("/opt/whisper-faster/server.py").content_string
    status, printed = checkout.run("playbooks/verify.yml")
    assert status == 0, printed[-3000:]


def test_a_version_that_does_not_start_undoes_itself(host: Host, checkout: Checkout) -> None:
    before = image(host)
    checkout.add_to_server('\nraise RuntimeError("does not start")\n')
    status, printed = checkout.run("playbooks/upgrade.yml")
    assert status != 0
    assert "did not start and pass its health check" in printed
    assert "does not start" in printed
    assert "was rolled back to its previous versions" in printed
    assert image(host) == before


def test_a_version_that_cannot_be_built_changes_nothing(host: Host, checkout: Checkout) -> None:
    before = image(host)
    checkout.add_to_server("RUN false\n", "Dockerfile")
    with asking() as client:
        status, printed = checkout.run("playbooks/upgrade.yml")
    assert status != 0
    assert "was rolled back to its previous versions" in printed
    assert client.refused == client.lost == []
    assert image(host) == before
    assert "RUN false" not in host.file("/opt/whisper-faster/Dockerfile").content_string


def test_the_version_before_is_kept_and_older_ones_are_deleted(host: Host, checkout: Checkout, first: str) -> None:
    assert len(images(host)) > 2, "those of the versions that failed"
    checkout.add_to_server("\n# A version with a line of its own.\n")
    status, printed = checkout.run("playbooks/upgrade.yml")
    assert status == 0, printed[-3000:]
    assert images(host) == {first, image(host)}
