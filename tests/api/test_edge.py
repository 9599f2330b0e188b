"""Who comes in, and what those are told who do not."""

import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


MALFORMED = {
    "dots above the root": ("GET /../x HTTP/1.1", 400),
    "an encoded NUL": ("GET /%00 HTTP/1.1", 400),
    "a target of 9 KB": (f"GET /{'a' * 9000} HTTP/1.1", 414),
    "a version of nobody's": ("GET / HTTP/9.9", 505),
    "a header of 9 KB": (f"GET / HTTP/1.1\r\nX-Long: {'a' * 9000}", 431),
    "an encoding of nobody's": ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip", 501),
    "TRACE": ("TRACE / HTTP/1.1", 405),
}


def every_service(demo: Demo) -> tuple[str, str]:
    return demo.url, demo.whisperx_url


def said_to(request: str, url: str, trust: ssl.SSLContext) -> tuple[bytes, bytes]:
    """Head and body of the answer to a request as it stands here."""
    address = urlsplit(url)
    host = address.hostname or ""
    with (
        socket.create_connection((host, address.port or 443), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(f"{request}\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_get_an_error_object(demo: Demo, trust: ssl.SSLContext, case: str) -> None:
    request, status = MALFORMED[case]
    for url in every_service(demo):
        head, body = said_to(request, url, trust)
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert is_error_object(json.loads(body))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "https://evil.localhost:8443", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/audio/transcriptions"), ("DELETE", "/v1/models/x")])
def test_a_page_of_another_site_changes_nothing(
    http: httpx.Client, demo: Demo, headers: dict[str, str], method: str, path: str
) -> None:
    for url in every_service(demo):
        answer = http.request(method, url + path, headers=headers)
        assert answer.status_code == 403
        assert is_error_object(answer.json())
        assert "another site" in answer.json()["error"]["message"]


def test_our_own_pages_send_what_they_like(http: httpx.Client, demo: Demo) -> None:
    """A form without a file is the service's to refuse."""
    for headers in (
        {"Origin": "https://portal.localhost:8443", "Sec-Fetch-Site": "same-site"},
        {"Origin": demo.url, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        answer = http.post("/v1/audio/transcriptions", headers=headers, data={"model": "whisper-1"})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "file"


def test_models_are_for_administrators(http: httpx.Client, demo: Demo) -> None:
    client = {"Authorization": f"Bearer {demo.client_key}"}
    for url in every_service(demo):
        for method in ("POST", "DELETE"):
            for path in ("/v1/models/x", "//v1//models/x", "/v1%2fmodels%2fx"):
                refused = http.request(method, url + path, headers=client)
                assert refused.status_code == 403
                assert "admin: true" in refused.json()["error"]["message"]
        assert http.get(f"{url}/v1/models", headers=client).status_code == 200
        # Of a model that is not there, which is the service's to say.
        assert http.delete(f"{url}/v1/models/x").status_code == 404


def test_metrics_are_for_those_who_may_and_busy_for_nobody(http: httpx.Client, demo: Demo) -> None:
    client = {"Authorization": f"Bearer {demo.client_key}"}
    for url in every_service(demo):
        refused = http.get(f"{url}/metrics", headers=client)
        assert refused.status_code == 403
        assert "metrics: true" in refused.json()["error"]["message"]
        assert http.get(f"{url}/busy").status_code == 404
    assert http.get("/metrics").status_code == 200
    assert http.get("/openapi.json", headers=client).status_code == 200


def test_answers_are_kept_by_nobody(http: httpx.Client) -> None:
    for path in ("/v1/models", "/jobs", "/jobs/none", "/docs", "/openapi.json"):
        assert http.get(path).headers.get_list("cache-control") == ["no-store"]
    asset = http.get("/docs/assets/swagger-ui.css")
    assert asset.status_code == 200
    assert "no-store" not in asset.headers.get("cache-control", "")


def test_the_documentation_may_run_nothing_else(http: httpx.Client) -> None:
    policy = http.get("/docs").headers["content-security-policy"]
    assert re.search(r"script-src 'self' 'sha256-[^']+';", policy)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_second_slash_is_one_too_many(http: httpx.Client, demo: Demo) -> None:
    for url in every_service(demo):
        assert http.get(f"{url}//v1/models").status_code == 200


def test_a_refusal_takes_its_time_whether_or_not_there_is_such_a_user(anonymous: httpx.Client, demo: Demo) -> None:
    for user in (demo.user, "nobody"):
        answer = anonymous.get("/v1/models", auth=(user, "wrong"))
        assert answer.status_code == 401
        assert answer.elapsed.total_seconds() >= 0.25


def test_strangers_write_little_to_the_disk(
    demo: Demo, trust: ssl.SSLContext, on_the_server: Callable[..., str]
) -> None:
    def logged() -> int:
        sizes = on_the_server("find", "/var/log/nginx", "-name", "*.log", "-printf", "%s\n")
        return sum(map(int, sizes.split()))

    before = logged()
    request = f"GET /{'%22' * 2500} HTTP/1.1\r\nUser-Agent: {'a' * 4000}"
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: said_to(request, demo.url, trust), range(300)))
    assert {head.split()[1] for head, _ in answers} == {b"401", b"429"}
    assert logged() - before < 30_000
    # For the tests after this one: the burst is free again.
    time.sleep(6)
