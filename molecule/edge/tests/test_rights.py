"""What needs more than any valid key: models and metrics; and what nobody reaches from outside."""

import ssl
from collections.abc import Iterator

import httpx
import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

UPSTREAM_LOG = "/var/log/echo-upstream.log"


def key(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


ADMINISTRATOR = key("molecule-key-0123456789abcdef0123456789")
CLIENT = key("client-key-0123456789abcdef012345678901")
PROMETHEUS = key("metrics-key-0123456789abcdef01234567890")
ADMINISTRATOR_BY_PASSWORD = ("molecule", "molecule-password")
CLIENT_BY_PASSWORD = ("client.user", "client-password")

MODELS = [
    "/v1/models/base",
    "/v1/models/Systran/faster-whisper-base",
    "/v1/models",
    "/v1/models/",
    "//v1//models//base",
    "/v1/%6dodels/base",
    "/v1%2fmodels%2fbase",
    "/jobs/../v1/models/base",
    "/jobs/%2e%2e/v1/models/base",
    "/api/ps/base",
    "/api/pull/base",
]


@pytest.fixture(scope="module")
def client(host: Host, authorities: str) -> Iterator[httpx.Client]:
    """A client without credentials."""
    name = f"whisper.{host.ansible.get_variables()['site_domain']}"
    trust = ssl.create_default_context(cafile=authorities)
    with httpx.Client(base_url=f"https://{name}", verify=trust, timeout=10) as http:
        yield http


def arrived(host: Host) -> int:
    return len(host.file(UPSTREAM_LOG).content_string.splitlines())


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "WHISPER"])
@pytest.mark.parametrize("path", MODELS)
def test_models_are_changed_by_administrators_alone(host: Host, client: httpx.Client, path: str, method: str) -> None:
    # As it stands here: httpx would take the dots out.
    url = httpx.URL(client.base_url, raw_path=path.encode())
    before = arrived(host)
    for refused in (client.request(method, url, headers=CLIENT), client.request(method, url, auth=CLIENT_BY_PASSWORD)):
        assert refused.status_code == 403
        error = refused.json()["error"]
        assert (error["code"], error["type"]) == ("forbidden", "permission_error")
        assert "admin: true" in error["message"]
    assert client.request(method, url, headers=PROMETHEUS).status_code == 403
    assert arrived(host) == before
    assert client.request(method, url, headers=ADMINISTRATOR).json()["method"] == method
    assert client.request(method, url, auth=ADMINISTRATOR_BY_PASSWORD).status_code == 200


@pytest.mark.parametrize("path", MODELS)
def test_models_are_listed_for_everybody(client: httpx.Client, path: str) -> None:
    url = httpx.URL(client.base_url, raw_path=path.encode())
    for method in ("GET", "HEAD"):
        assert client.request(method, url, headers=CLIENT).status_code == 200
        assert client.request(method, url, auth=CLIENT_BY_PASSWORD).status_code == 200


@pytest.mark.parametrize("user", ["molecule", "client.user", "nobody"])
@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v1/models/base"), ("GET", "/metrics"), ("GET", "/busy")])
def test_who_has_no_valid_credentials_is_told_that_alone(
    client: httpx.Client, user: str, method: str, path: str
) -> None:
    """Not whether there is such a user, nor what it may do."""
    assert client.request(method, path, auth=(user, "wrong")).json()["error"]["code"] == "invalid_api_key"
    assert client.request(method, path).status_code == 401


@pytest.mark.parametrize("path", ["/v1/modelsx", "/v1/audio/transcriptions", "/jobs/v1/models/x"])
def test_nothing_else_needs_an_administrator(client: httpx.Client, path: str) -> None:
    assert client.post(path, headers=CLIENT).status_code == 200
    assert client.post(path, auth=CLIENT_BY_PASSWORD).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?x=/"])
def test_metrics_are_for_their_key_and_administrators(client: httpx.Client, path: str) -> None:
    url = httpx.URL(client.base_url, raw_path=path.encode())
    refused = client.get(url, headers=CLIENT)
    assert refused.status_code == 403
    assert "metrics: true" in refused.json()["error"]["message"]
    assert client.get(url, auth=CLIENT_BY_PASSWORD).status_code == 403
    assert client.get(url, headers=PROMETHEUS).status_code == 200
    assert client.get(url, headers=ADMINISTRATOR).status_code == 200
    assert client.get(url, auth=ADMINISTRATOR_BY_PASSWORD).status_code == 200


@pytest.mark.parametrize("path", ["/busy", "/busy/", "//busy", "/%62usy", "/x/../busy"])
def test_busy_is_reached_by_nobody(host: Host, client: httpx.Client, path: str) -> None:
    before = arrived(host)
    answer = client.get(httpx.URL(client.base_url, raw_path=path.encode()), headers=ADMINISTRATOR)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert arrived(host) == before


def test_the_schema_is_for_everybody(client: httpx.Client) -> None:
    assert client.get("/openapi.json", headers=CLIENT).status_code == 200
