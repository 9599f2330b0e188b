"""The first deployment to fresh servers, while DNS still leads elsewhere."""

import os
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
SERVERS = {"whisper-edge13": "whisper.edge13.test", "whisper-edge12": "whisper.edge12.test"}


def address_of(server: str) -> str:
    inspect = ["docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", server]
    return subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def deployment() -> subprocess.CompletedProcess[str]:
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    command = ["ansible-playbook", "--inventory", inventory, str(SCENARIO / "converge.yml")]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_run_fails_and_says_in_plain_words_what_is_wrong(deployment: subprocess.CompletedProcess[str]) -> None:
    printed = " ".join((deployment.stdout + deployment.stderr).split())
    assert deployment.returncode != 0, printed
    elsewhere = address_of("whisper-edge-acme")
    for name in SERVERS.values():
        assert f"{name} resolves to {elsewhere}, whose port 80 is closed." in printed
    assert "correct the DNS record" in printed
    assert "self-signed placeholder" in printed
    assert "ansible-playbook site.yml --tags certificates" in printed
    assert "certbot certonly" not in printed, "nobody was asked in vain"


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize("server", SERVERS)
def test_the_site_is_up_with_a_placeholder(server: str) -> None:
    name = SERVERS[server]
    context = ssl._create_unverified_context()  # noqa: S323 - nobody vouches for a placeholder
    with (
        socket.create_connection((address_of(server), 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
        request: Mapping[str, str] = {"Host": name, "Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
        lines = ["GET /v1/models HTTP/1.1", *(f"{key}: {value}" for key, value in request.items()), "Connection: close"]
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        answer = connection.recv(1024).decode()
    assert der
    assert x509.load_der_x509_certificate(der).issuer.rfc4514_string() == f"CN=Whisper Services of {server}"
    assert answer.startswith("HTTP/1.1 200 ")
