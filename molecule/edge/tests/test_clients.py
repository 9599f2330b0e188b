"""Who may come in, what they and others are told, and what of it is written down."""

import json
import ssl
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from openai import DefaultHttpxClient, OpenAI
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

KEY = "molecule-key-0123456789abcdef0123456789"
PASSWORD = "molecule-password"
ACCESS_LOG = "/var/log/nginx/whisper-services.log"


@pytest.fixture(scope="module")
def url(host: Host) -> str:
    return f"https://whisper.{host.ansible.get_variables()['site_domain']}"


@pytest.fixture(scope="module")
def trust(authorities: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authorities)


@pytest.fixture(scope="module")
def client(url: str, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with httpx.Client(base_url=url, verify=trust, timeout=10) as http:
        yield http


def bearer(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_openais_client_comes_in_with_a_key(url: str, trust: ssl.SSLContext) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=DefaultHttpxClient(verify=trust)) as client:
        answer = client.models.with_raw_response.list()
        assert json.loads(answer.text)["target"] == "/v1/models"


@pytest.mark.parametrize(
    ("credentials", "name"),
    [(["--user", f"molecule:{PASSWORD}"], "molecule"), (["--oauth2-bearer", KEY], "molecule-key")],
)
def test_curl_comes_in(url: str, authorities: str, credentials: list[str], name: str) -> None:
    done = subprocess.run(
        ["curl", "--silent", "--fail", "--cacert", authorities, *credentials, f"{url}/v1/models"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(json.loads(done.stdout)["headers"])["X-Remote-User"] == name


def test_the_service_learns_who_asks_from_nginx_alone(client: httpx.Client) -> None:
    forged = {"X-Remote-User": "admin", "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    headers = client.get("/v1/models", headers=bearer() | forged).json()["headers"]
    names = [name.lower() for name, _ in headers]
    assert [value for name, value in headers if name == "X-Remote-User"] == ["molecule-key"]
    assert "authorization" not in names
    assert "forwarded" not in names
    assert "192.0.2.1" not in str(headers)


@pytest.mark.parametrize(("path", "status"), [("/v1/models", 401), ("/.preflight", 404)])
def test_errors_are_objects_for_programs_and_pages_for_browsers(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    page = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-request-id"] in page.text


def test_both_challenges_are_offered(client: httpx.Client) -> None:
    challenges = client.get("/v1/models").headers.get_list("www-authenticate")
    assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (bearer(), 200)])
def test_every_answer_has_the_headers_of_a_careful_server(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = client.get("/v1/models", headers=headers)
    assert answer.status_code == status
    assert answer.headers["server"] == "nginx"
    assert answer.headers.get_list("strict-transport-security") == ["max-age=63072000"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_a_page_of_the_portal_may_read_answers_and_errors(client: httpx.Client, url: str) -> None:
    origin = url.replace("//whisper.", "//portal.")
    for headers in ({}, bearer()):
        answer = client.get("/v1/models", headers=headers | {"Origin": origin})
        assert answer.headers.get_list("access-control-allow-origin") == [origin]
        assert (
            "access-control-allow-origin"
            not in client.get("/v1/models", headers=headers | {"Origin": f"{origin}.evil.test"}).headers
        )
    preflight = client.options("/v1/models", headers={"Origin": origin})
    assert preflight.status_code == 204
    assert preflight.headers.get_list("access-control-allow-origin") == [origin]
    assert "access-control-allow-origin" not in client.options("/v1/models", headers={"Origin": "null"}).headers


def test_who_guesses_is_slowed_down_and_who_has_a_key_is_not(client: httpx.Client) -> None:
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(client.get, "/v1/models", headers=bearer("wrong")) for _ in range(250)]
        user = pool.submit(client.get, "/v1/models", auth=("molecule", PASSWORD))
    guesses = [guess.result() for guess in asked]
    refused = [guess for guess in guesses if guess.status_code == 429]
    assert {guess.status_code for guess in guesses} == {401, 429}
    assert refused[0].json()["error"]["code"] == "rate_limit_exceeded"
    assert refused[0].headers["retry-after"] == "1"
    assert user.result().status_code == 429
    assert client.get("/v1/models", headers=bearer()).status_code == 200
    # For the tests after this one: the burst is free again.
    time.sleep(6)


def test_the_time_of_a_refusal_does_not_tell_whether_there_is_such_a_user(client: httpx.Client) -> None:
    """The hash of this user takes tens of milliseconds, as the right password shows."""
    times = {}
    for user in (("client.user", "client-password"), ("client.user", "wrong"), ("nobody", "wrong")):
        answers = [client.get("/health", auth=user) for _ in range(9)]
        times[user] = statistics.median(answer.elapsed.total_seconds() for answer in answers)
    right, wrong, unknown = times.values()
    assert right > 0.02
    assert abs(wrong - unknown) < right / 4


def test_the_log_tells_who_asked_for_what_and_no_secret(host: Host, client: httpx.Client) -> None:
    asked = client.get(f"/v1/models?key={KEY}", headers=bearer())
    identifier = dict(asked.json()["headers"])["X-Request-Id"]
    client.get("/v1/models", auth=("molecule", PASSWORD))
    # In the wrong place: a key and a password as names of users.
    client.get("/v1/models", auth=(KEY, ""))
    client.get("/v1/models", auth=(PASSWORD, "molecule"))
    text = host.check_output("cat %s", ACCESS_LOG)
    entries = [json.loads(line) for line in text.splitlines()]
    (entry,) = [entry for entry in entries if entry["request_id"] == identifier]
    expected = {"key": "molecule-key", "user": "", "credentials": "bearer", "status": 200, "path": "/v1/models"}
    assert entry.items() >= expected.items()
    assert entry["upstream"] == "127.0.0.1:8890"
    assert float(entry["upstream_seconds"]) >= 0
    assert [entry["user"] for entry in entries[-3:]] == ["molecule", "", ""]
    for secret in (KEY, PASSWORD):
        assert secret not in text
        assert secret not in host.check_output("cat /var/log/nginx/error.log")


def test_the_log_is_rotated_and_written_on(host: Host, client: httpx.Client) -> None:
    host.check_output("logrotate --force /etc/logrotate.d/nginx")
    client.get("/v1/models", headers=bearer())
    assert host.file(f"{ACCESS_LOG}.1").size > 0
    assert '"key":"molecule-key"' in host.check_output("cat %s", ACCESS_LOG)


def test_a_monitor_at_a_named_address_may_ask_for_health_alone(host: Host, url: str) -> None:
    name = url.removeprefix("https://")
    ask = f"curl --silent --insecure --resolve {name}:443:127.0.0.1 --path-as-is --user molecule:wrong {url}"
    health = json.loads(host.check_output(f"{ask}/health"))
    assert health["target"] == "/health"
    assert "X-Remote-User" not in dict(health["headers"]), "the password was not looked at"
    for path in ("/healthx", "//health", "/v1/models", "/health/../v1/models", "/v1/..%2fhealth"):
        assert '"invalid_api_key"' in host.check_output(f"{ask}{path}")


def test_a_name_of_nobody_gets_no_answer(host: Host) -> None:
    assert host.run("curl --silent --insecure https://127.0.0.1/").rc == 35
    assert host.run("curl --silent --header 'Host: nobody.test' http://127.0.0.1/").rc == 52
