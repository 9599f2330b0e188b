"""The edge in front of an echo: what reaches it, and what does not."""

import json

import pytest
import requests
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}


@pytest.fixture
def name(host: Host) -> str:
    """Name of the host's one site."""
    return f"whisper.{host.ansible.get_variables()['site_domain']}"


def echoed(host: Host) -> list[dict[str, object]]:
    """What reached the upstream so far."""
    log = host.file("/var/log/echo-upstream.log")
    return [json.loads(line) for line in log.content_string.splitlines()] if log.exists else []


def ask(name: str, path: str, headers: dict[str, str], authorities: str) -> requests.Response:
    return requests.get(f"https://{name}{path}", headers=headers, verify=authorities, timeout=10)


def test_a_client_with_a_key_reaches_the_service_but_its_key_does_not(host: Host, name: str, authorities: str) -> None:
    answer = ask(name, "/v1/models?with=key", KEY, authorities)
    assert answer.status_code == 200
    request = answer.json()
    assert request == echoed(host)[-1]
    assert request["target"] == "/v1/models?with=key"
    headers = {header.lower(): value for header, value in request["headers"]}
    assert headers["host"] == name
    assert "authorization" not in headers


def test_a_stranger_reaches_nothing(host: Host, name: str, authorities: str) -> None:
    before = echoed(host)
    answer = ask(name, "/v1/models?without=key", {}, authorities)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert echoed(host) == before
