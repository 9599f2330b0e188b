"""What a page of another site may have a browser do here, which adds the password of a user who is signed in."""

import json
import ssl
from collections.abc import Iterator

import httpx
import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

USER = ("molecule", "molecule-password")
UPSTREAM_LOG = "/var/log/echo-upstream.log"


@pytest.fixture(scope="module")
def name(host: Host) -> str:
    return f"whisper.{host.ansible.get_variables()['site_domain']}"


@pytest.fixture(scope="module")
def client(name: str, authorities: str) -> Iterator[httpx.Client]:
    """A browser, as far as nginx sees it, in which the user is signed in."""
    trust = ssl.create_default_context(cafile=authorities)
    with httpx.Client(base_url=f"https://{name}", auth=USER, verify=trust, timeout=10) as http:
        yield http


def arrived(host: Host) -> int:
    return len(host.file(UPSTREAM_LOG).content_string.splitlines())


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "Cross-Site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example.com"},
    {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "null"},
    {"Origin": "http://{name}"},
    {"Origin": "https://{name}:8443"},
    {"Origin": "https://{name}.evil.example.com"},
    {"Origin": "https://evil-{name}"},
    {"Origin": "https://other.{domain}", "Sec-Fetch-Site": "same-site"},
    {"Origin": "{portal}:1"},
    {"Origin": "{portal} https://evil.example.com"},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://{name}"},
    {"Origin": "https://{name}", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "{portal}", "Sec-Fetch-Site": "same-site"},
    # A page that may call the APIs need not be of the same domain.
    {"Origin": "{portal}", "Sec-Fetch-Site": "cross-site"},
]


def filled(headers: dict[str, str], name: str) -> dict[str, str]:
    domain = name.partition(".")[2]
    return {k: v.format(name=name, domain=domain, portal=f"https://portal.{domain}") for k, v in headers.items()}


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "WHISPER"])
@pytest.mark.parametrize("headers", FOREIGN, ids=json.dumps)
def test_it_changes_nothing(host: Host, client: httpx.Client, name: str, headers: dict[str, str], method: str) -> None:
    before = arrived(host)
    answer = client.request(method, "/v1/audio/transcriptions", headers=filled(headers, name))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    assert "another site" in answer.json()["error"]["message"]
    assert arrived(host) == before


@pytest.mark.parametrize("headers", OWN, ids=json.dumps)
def test_programs_and_our_own_pages_do(client: httpx.Client, name: str, headers: dict[str, str]) -> None:
    answer = client.post("/v1/audio/transcriptions", content=b"x", headers=filled(headers, name))
    assert answer.status_code == 200
    assert answer.json()["body_bytes"] == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("headers", FOREIGN, ids=json.dumps)
def test_it_may_follow_a_link_and_ask_what_is_allowed(
    client: httpx.Client, name: str, headers: dict[str, str], method: str
) -> None:
    assert client.request(method, "/v1/models", headers=filled(headers, name)).status_code in {200, 204}


def test_it_opens_no_websocket(client: httpx.Client, name: str) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert client.get("/v1/x", headers=upgrade | {"Origin": "https://evil.example.com"}).status_code == 403
    assert client.get("/v1/x", headers=upgrade | {"Origin": f"https://{name}"}).status_code == 200
    assert client.get("/v1/x", headers=upgrade).status_code == 200


def test_it_is_refused_by_http2_too(name: str, authorities: str) -> None:
    trust = ssl.create_default_context(cafile=authorities)
    with httpx.Client(base_url=f"https://{name}", auth=USER, verify=trust, timeout=10, http2=True) as client:
        for headers, status in (({"Origin": "https://evil.example.com"}, 403), ({"Origin": f"https://{name}"}, 200)):
            answer = client.post("/v1/audio/transcriptions", headers=headers)
            assert (answer.status_code, answer.http_version) == (status, "HTTP/2")
