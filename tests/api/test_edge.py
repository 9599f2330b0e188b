"""Who comes in, and what those are told who do not."""

import http.client
import ssl
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.conftest import Demo


def is_error_object(body: dict[str, object]) -> bool:
    error = body.get("error")
    return isinstance(error, dict) and set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic ZGVtbzp3cm9uZw=="},
        {"Authorization": "nonsense"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/docs", "/health", "/nowhere"])
def test_strangers_get_an_error_object_and_both_challenges(
    anonymous: httpx.Client, headers: dict[str, str], path: str
) -> None:
    answer = anonymous.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/json"
    assert is_error_object(answer.json())
    challenges = answer.headers.get_list("www-authenticate")
    assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]


def test_a_key_with_the_wrong_case_is_another_key(anonymous: httpx.Client, demo: Demo) -> None:
    assert demo.key != demo.key.swapcase()
    answer = anonymous.get("/v1/models", headers={"Authorization": f"Bearer {demo.key.swapcase()}"})
    assert answer.status_code == 401


def test_a_key_comes_in(http: httpx.Client) -> None:
    assert http.get("/v1/models").status_code == 200


def test_a_user_comes_in(anonymous: httpx.Client, demo: Demo) -> None:
    assert anonymous.get("/v1/models", auth=(demo.user, demo.password)).status_code == 200


def test_a_preflight_of_the_portal_needs_no_credentials(anonymous: httpx.Client) -> None:
    origin = "https://portal.localhost:8443"
    answer = anonymous.options(
        "/v1/audio/transcriptions",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://portal.localhost", "null"])
def test_other_origins_are_not_allowed(http: httpx.Client, origin: str) -> None:
    for answer in (
        http.options("/v1/models", headers={"Origin": origin}),
        http.get("/v1/models", headers={"Origin": origin}),
    ):
        assert "access-control-allow-origin" not in answer.headers


def test_answers_to_the_portal_say_so_once(http: httpx.Client) -> None:
    origin = "https://portal.localhost:8443"
    answer = http.get("/v1/models", headers={"Origin": origin})
    assert answer.headers.get_list("access-control-allow-origin") == [origin]


def test_an_upload_above_the_limit_is_refused_before_it_is_sent(demo: Demo, trust: ssl.SSLContext) -> None:
    address = urlsplit(demo.url)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=trust, timeout=10)
    connection.putrequest("POST", "/v1/audio/transcriptions")
    connection.putheader("Authorization", f"Bearer {demo.key}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(600 * 1024**2))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b'"file_too_large"' in answer.read()
    connection.close()


def test_nothing_of_the_documentation_comes_from_elsewhere(http: httpx.Client, demo: Demo) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text.replace(demo.url, "")


def test_tls_is_trusted_through_the_handed_out_authority_alone(demo: Demo) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{demo.url}/v1/models", verify=ssl.create_default_context())
