"""The edge in front of an echo: what reaches it, and what does not."""

import json
import ssl

import httpx
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


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("//v1/models", "/v1/models"),
        ("///v1//audio///transcriptions?a=//b", "/v1/audio/transcriptions?a=//b"),
        ("/v1/models/Systran%2ffaster-whisper-base", "/v1/models/Systran/faster-whisper-base"),
        ("/jobs/./a/../b%2e", "/jobs/b."),
        ("/v1/models/a%3fb%23c%25d%20e%0d%0af%C3%A9?q=%2f", "/v1/models/a%3Fb%23c%25d%20e%0D%0Af%C3%A9?q=%2f"),
        ("/v1/models/a+b;c=%22", "/v1/models/a+b;c=%22"),
    ],
)
def test_the_service_sees_the_path_that_was_judged(
    host: Host, name: str, authorities: str, path: str, target: str
) -> None:
    del host
    trust = ssl.create_default_context(cafile=authorities)
    url = httpx.URL(f"https://{name}", raw_path=path.encode())
    with httpx.Client(verify=trust) as client:
        assert client.get(url, headers=KEY).json()["target"] == target


def test_no_address_of_an_answer_is_absolute_for_what_the_service_sees(name: str, authorities: str) -> None:
    for location, passed_on in (
        (f"http://{name}/v1/x", "/v1/x"),
        (f"https://{name}/v1/x", "/v1/x"),
        ("/jobs/1", "/jobs/1"),
        ("https://elsewhere.example.com/x", "https://elsewhere.example.com/x"),
    ):
        url = f"https://{name}/redirect?{location}"
        answer = requests.get(url, headers=KEY, verify=authorities, timeout=10, allow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, passed_on)


def test_answers_of_a_service_are_kept_by_nobody(name: str, authorities: str) -> None:
    for path in (
        "/v1/audio/transcriptions",
        "/jobs/1",
        "/docs",
        "/openapi.json",
        "/docs/assetsx",
        "/v1/models",
        "/metrics",
    ):
        answer = ask(name, path, KEY, authorities)
        assert answer.raw.headers.getlist("cache-control") == ["no-store"]
    assert "cache-control" not in ask(name, "/docs/assets/swagger-ui.css", KEY, authorities).headers


def test_a_stranger_reaches_nothing(host: Host, name: str, authorities: str) -> None:
    before = echoed(host)
    answer = ask(name, "/v1/models?without=key", {}, authorities)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert echoed(host) == before
