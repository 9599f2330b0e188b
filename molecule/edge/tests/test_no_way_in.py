"""Attempts to reach the service without credentials: none arrives, as the upstream's own log tells.

Every attempt is sent as it stands here, byte by byte, and then once more with a key. Of well-formed ones the second
must arrive: that shows that the first was refused for want of a key, and not for something else.
"""

import json
import socket
import ssl
from collections import Counter
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

KEY = "molecule-key-0123456789abcdef0123456789"
BEARER = f"Authorization: Bearer {KEY}"
UPSTREAM_LOG = "/var/log/echo-upstream.log"
PATIENCE = 2.0
"""Seconds without a byte after which an answer is over."""


@dataclass(frozen=True)
class Attempt:
    """A request. {host} is the site's name, {mark} the lines that name the attempt, and the credentials if any.

    ``arrives`` says whether it reaches the upstream when it has a key; what is malformed does not.
    """

    name: str
    request: str
    arrives: bool = True
    tls: bool = True
    port: int = 443
    server_name: str | None = "{host}"


def get(name: str, path: str, *lines: str, method: str = "GET", arrives: bool = True) -> Attempt:
    """Return an attempt by a request line and further header lines, without a body."""
    header = "".join(f"{line}\r\n" for line in lines)
    return Attempt(
        name, f"{method} {path} HTTP/1.1\r\nHost: {{host}}\r\n{{mark}}{header}Connection: close\r\n\r\n", arrives
    )


def wrong(name: str, *lines: str) -> Attempt:
    """Return an attempt with header lines in place of credentials: there is no such request with a key."""
    return get(name, "/v1/models", *lines, arrives=False)


def raw(
    name: str,
    *lines: str,
    body: str = "",
    arrives: bool = True,
    tls: bool = True,
    port: int = 443,
    server_name: str | None = "{host}",
) -> Attempt:
    """Return an attempt by its lines."""
    return Attempt(name, "\r\n".join(lines) + "\r\n\r\n" + body, arrives, tls, port, server_name)


INNER = "GET /v1/models HTTP/1.1\r\nHost: {host}\r\nX-Inner: {name}\r\n\r\n"
POST = "POST /v1/audio/transcriptions HTTP/1.1"

ATTEMPTS = [
    # Paths
    get("the models", "/v1/models"),
    get("the root", "/"),
    get("the documentation", "/docs"),
    get("the schema", "/openapi.json"),
    get("health", "/health"),
    get("metrics", "/metrics"),
    get("two slashes", "//v1/models"),
    get("dots", "/health/../v1/models"),
    get("encoded dots", "/health/%2e%2e/v1/models"),
    get("dots and a semicolon", "/health/..;/v1/models"),
    get("dots above the root", "/../../v1/models", arrives=False),
    get("an encoded slash", "/v1%2fmodels"),
    get("twice encoded", "/%252e%252e/v1/models"),
    get("an encoded NUL", "/v1/models%00.css", arrives=False),
    get("a backslash", "/health\\..\\v1\\models"),
    get("a fragment", "/health#/../v1/models"),
    get("a broken escape", "/v1/models%zz", arrives=False),
    get("nginx's preflight", "/.preflight", arrives=False),
    get("behind nginx's preflight", "/.preflight/../v1/models"),
    get("a location of errors", "/@error-404.json"),
    get("a page of errors", "/.error-400.json", arrives=False),
    get("the check of who may use models", "/.models", arrives=False),
    get("behind it", "/.models/../v1/models"),
    get("the daemon's own question", "/busy", arrives=False),
    get("the ACME folder", "/.well-known/acme-challenge/x"),
    get("out of the ACME folder", "/.well-known/acme-challenge/../../v1/models"),
    get("the password file", "/.htpasswd"),
    get("a key in the query", f"/v1/models?api_key={KEY}&Authorization=Bearer%20{KEY}"),
    # Methods
    get("POST", "/v1/audio/transcriptions", "Content-Length: 0", method="POST"),
    get("HEAD", "/v1/models", method="HEAD"),
    get("PUT", "/v1/models", "Content-Length: 0", method="PUT"),
    get("DELETE", "/v1/models", method="DELETE"),
    get("a method of nobody's", "/v1/models", method="WHISPER"),
    get("a method in lower case", "/v1/models", method="get", arrives=False),
    get("TRACE", "/v1/models", method="TRACE", arrives=False),
    get("CONNECT", "{host}:443", method="CONNECT", arrives=False),
    get("OPTIONS", "/v1/models", method="OPTIONS", arrives=False),
    get("OPTIONS of the server", "*", method="OPTIONS", arrives=False),
    get("a method to override", "/v1/models", "X-HTTP-Method-Override: OPTIONS", "X-Original-Method: OPTIONS"),
    # Versions, hosts and absolute addresses
    raw("HTTP/1.0", "GET /v1/models HTTP/1.0", "Host: {host}", "{mark}"),
    raw("HTTP/1.0 without a host", "GET /v1/models HTTP/1.0", "{mark}", arrives=False),
    Attempt("HTTP/0.9", "GET /v1/models\r\n", arrives=False),
    raw("a version of nobody's", "GET /v1/models HTTP/3.0", "Host: {host}", "{mark}", arrives=False),
    raw("no host", "GET /v1/models HTTP/1.1", "{mark}", arrives=False),
    raw("an empty host", "GET /v1/models HTTP/1.1", "Host:", "{mark}", arrives=False),
    raw("the host of nobody", "GET /v1/models HTTP/1.1", "Host: localhost", "{mark}", arrives=False),
    raw("the host of the upstream", "GET /v1/models HTTP/1.1", "Host: 127.0.0.1:8890", "{mark}", arrives=False),
    raw("two hosts", "GET /v1/models HTTP/1.1", "Host: {host}", "Host: localhost", "{mark}", arrives=False),
    raw("a user in the host", "GET /v1/models HTTP/1.1", "Host: {host}@localhost", "{mark}", arrives=False),
    raw("a host in capitals", "GET /v1/models HTTP/1.1", "Host: {HOST}", "{mark}Connection: close"),
    raw("a host with a dot", "GET /v1/models HTTP/1.1", "Host: {host}.", "{mark}Connection: close"),
    raw("a host with a port", "GET /v1/models HTTP/1.1", "Host: {host}:8890", "{mark}Connection: close"),
    raw("an absolute address", "GET https://{host}/v1/models HTTP/1.1", "Host: {host}", "{mark}Connection: close"),
    raw(
        "an address that is not the host",
        "GET http://{host}/v1/models HTTP/1.1",
        "Host: a.b",
        "{mark}Connection: close",
    ),
    raw("the upstream's address", "GET http://127.0.0.1:8890/ HTTP/1.1", "Host: {host}", "{mark}", arrives=False),
    get(
        "another host behind",
        "/v1/models",
        "X-Forwarded-Host: localhost",
        "X-Original-URL: /health",
        "X-Rewrite-URL: /health",
    ),
    get(
        "from the machine itself",
        "/v1/models",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
    ),
    # Credentials that are none
    wrong("an empty Authorization", "Authorization:"),
    wrong("Bearer alone", "Authorization: Bearer"),
    wrong("a wrong key", "Authorization: Bearer 0123456789012345678901234567890123456789"),
    wrong("the beginning of a key", f"Authorization: Bearer {KEY[:-1]}"),
    wrong("more than a key", f"Authorization: Bearer {KEY}0"),
    wrong("a key in capitals", f"Authorization: Bearer {KEY.upper()}"),
    wrong("a pattern", "Authorization: Bearer .*"),
    wrong("a key without its scheme", f"Authorization: {KEY}"),
    wrong("a key after a wrong one", f"Authorization: Bearer wrong, Bearer {KEY}"),
    wrong("two wrong ones", "Authorization: Bearer wrong", "Authorization: Basic d3Jvbmc6d3Jvbmc="),
    wrong("a wrong one before a right one", "Authorization: Bearer wrong", BEARER),
    wrong("the name of the key", "Authorization: Bearer molecule"),
    wrong("a user without a password", "Authorization: Basic bW9sZWN1bGU6"),
    wrong("nobody", "Authorization: Basic Og=="),
    wrong("the realm that is off", "Authorization: Basic b2ZmOm9mZg=="),
    wrong("a Basic that is not base64", "Authorization: Basic !!!"),
    wrong("a scheme of nobody's", "Authorization: Negotiate bW9sZWN1bGU6bW9sZWN1bGU="),
    wrong("a space before the colon", f"Authorization : Bearer {KEY}"),
    wrong("a folded line", "Authorization: Bearer", f" {KEY}"),
    get("an underscore", "/v1/models", f"Authorization_: Bearer {KEY}"),
    get("credentials for a proxy", "/v1/models", f"Proxy-Authorization: Bearer {KEY}"),
    get("a key as a cookie", "/v1/models", f"Cookie: Authorization=Bearer%20{KEY}; api_key={KEY}", f"X-API-Key: {KEY}"),
    get("the name that nginx gives", "/v1/models", "X-Remote-User: molecule", "Remote-User: molecule"),
    # Bodies and what may hide in them
    raw("a body", POST, "Host: {host}", "{mark}Content-Length: 4", "Connection: close", body="body"),
    raw(
        "a chunked body",
        POST,
        "Host: {host}",
        "{mark}Transfer-Encoding: chunked",
        "Connection: close",
        body="4\r\nbody\r\n0\r\n\r\n",
    ),
    raw(
        "a body that waits",
        POST,
        "Host: {host}",
        "{mark}Content-Length: 4",
        "Expect: 100-continue",
        "Connection: close",
        body="body",
    ),
    raw(
        "OPTIONS with a body",
        "OPTIONS / HTTP/1.1",
        "Host: {host}",
        "{mark}Content-Length: {inner}",
        body=INNER,
        arrives=False,
    ),
    raw(
        "OPTIONS with a chunked body",
        *("OPTIONS / HTTP/1.1", "Host: {host}", "{mark}Transfer-Encoding: chunked"),
        body="{inner:x}\r\n" + INNER + "\r\n0\r\n\r\n",
        arrives=False,
    ),
    raw(
        "a request behind a preflight",
        "OPTIONS / HTTP/1.1",
        "Host: {host}",
        "{mark}Content-Length: 0",
        body=INNER,
        arrives=False,
    ),
    raw(
        "two lengths",
        *(POST, "Host: {host}", "{mark}Content-Length: 0", "Content-Length: {inner}"),
        body=INNER,
        arrives=False,
    ),
    raw(
        "a length and chunks",
        *(POST, "Host: {host}", "{mark}Content-Length: 4", "Transfer-Encoding: chunked"),
        body="0\r\n\r\n" + INNER,
        arrives=False,
    ),
    raw(
        "chunks by another name",
        *(POST, "Host: {host}", "{mark}Transfer-Encoding: xchunked"),
        body="0\r\n\r\n" + INNER,
        arrives=False,
    ),
    raw(
        "chunks twice",
        *(POST, "Host: {host}", "{mark}Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        body="0\r\n\r\n" + INNER,
        arrives=False,
    ),
    raw("a negative length", POST, "Host: {host}", "{mark}Content-Length: -1", body=INNER, arrives=False),
    raw("line feeds alone", "GET /v1/models HTTP/1.1\nHost: {host}\n{mark}Connection: close\n\n"),
    raw("a line before the request", "\r\nGET /v1/models HTTP/1.1", "Host: {host}", "{mark}Connection: close"),
    raw("a NUL in a header", "GET /v1/models HTTP/1.1", "Host: {host}", "{mark}X-Nul: a\0b", arrives=False),
    # Other protocols
    get("WebSocket", "/v1/models", "Upgrade: websocket"),
    get("HTTP/2 in plain text", "/v1/models", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    raw(
        "plain HTTP",
        "GET /v1/models HTTP/1.1",
        "Host: {host}",
        "{mark}Connection: close",
        arrives=False,
        tls=False,
        port=80,
    ),
    raw(
        "plain HTTP on 443",
        "GET /v1/models HTTP/1.1",
        "Host: {host}",
        "{mark}Connection: close",
        arrives=False,
        tls=False,
    ),
    raw(
        "out of the ACME folder by plain HTTP",
        *("GET /.well-known/acme-challenge/../../v1/models HTTP/1.1", "Host: {host}", "{mark}Connection: close"),
        arrives=False,
        tls=False,
        port=80,
    ),
    raw(
        "an absolute address by plain HTTP",
        *("GET https://{host}/v1/models HTTP/1.1", "Host: {host}", "{mark}Connection: close"),
        arrives=False,
        tls=False,
        port=80,
    ),
    raw(
        "the handshake of nobody's name",
        *("GET /v1/models HTTP/1.1", "Host: {host}", "{mark}Connection: close"),
        arrives=False,
        server_name="nobody.test",
    ),
    raw(
        "a handshake without a name",
        *("GET /v1/models HTTP/1.1", "Host: {host}", "{mark}Connection: close"),
        arrives=False,
        server_name=None,
    ),
]


@dataclass(frozen=True)
class Http2Attempt:
    """A request by HTTP/2, header by header, as `Attempt`; a body is sent if there is one."""

    name: str
    headers: list[tuple[str, str]]
    arrives: bool = True
    body: bytes = b""


def pseudo(
    method: str = "GET", path: str = "/v1/models", authority: str = "{host}", scheme: str = "https"
) -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]


HTTP2_ATTEMPTS = [
    Http2Attempt("GET", pseudo()),
    Http2Attempt("POST", pseudo("POST"), body=b"body"),
    Http2Attempt("OPTIONS with a body", pseudo("OPTIONS"), arrives=False, body=INNER.encode()),
    Http2Attempt("CONNECT", [(":method", "CONNECT"), (":authority", "127.0.0.1:8890")], arrives=False),
    Http2Attempt("the scheme of plain text", pseudo(scheme="http")),
    Http2Attempt("the authority of nobody", pseudo(authority="localhost"), arrives=False),
    Http2Attempt("the authority of the upstream", pseudo(authority="127.0.0.1:8890"), arrives=False),
    Http2Attempt("an authority that is not the host", [*pseudo(), ("host", "localhost")], arrives=False),
    Http2Attempt(
        "no authority", [(":method", "GET"), (":scheme", "https"), (":path", "/v1/models"), ("host", "{host}")]
    ),
    Http2Attempt("two paths", [*pseudo(path="/health"), (":path", "/v1/models")], arrives=False),
    Http2Attempt("two methods", [*pseudo("OPTIONS"), (":method", "GET")], arrives=False),
    Http2Attempt("an absolute path", pseudo(path="https://{host}/v1/models"), arrives=False),
    Http2Attempt("a path without a slash", pseudo(path="v1/models"), arrives=False),
    Http2Attempt("an empty path", pseudo(path=""), arrives=False),
    Http2Attempt(
        "a request in the path", pseudo(path="/ HTTP/1.1\r\nHost: {host}\r\n\r\nGET /v1/models"), arrives=False
    ),
    Http2Attempt("a request in the method", pseudo("GET /v1/models HTTP/1.1\r\nX: "), arrives=False),
    Http2Attempt("a header in a header", [*pseudo(), ("x-a", f"b\r\nAuthorization: Bearer {KEY}")], arrives=False),
    Http2Attempt("a header in capitals", [*pseudo(), ("Authorization", f"Bearer {KEY}")], arrives=False),
    Http2Attempt("dots", pseudo(path="/health/..;/../v1/models")),
    Http2Attempt(
        "chunks", [*pseudo("POST"), ("transfer-encoding", "chunked")], arrives=False, body=b"0\r\n\r\n" + INNER.encode()
    ),
    Http2Attempt("a wrong length", [*pseudo("POST"), ("content-length", "0")], arrives=False, body=INNER.encode()),
    Http2Attempt(
        "two wrong ones", [*pseudo(), ("authorization", "Bearer wrong"), ("authorization", "Basic Og==")], arrives=False
    ),
]


def connect(host: str, port: int, *, tls: bool, server_name: str | None, alpn: list[str]) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=PATIENCE)
    if not tls:
        return connection
    # Whether the certificate is trusted is another test's business: a stranger does not care.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    return context.wrap_socket(connection, server_hostname=server_name)


def send(attempt: Attempt, host: str, credentials: str) -> bytes:
    """Send the attempt and return what came back, which may be nothing."""
    mark = f"X-Attempt: {attempt.name}\r\n{credentials}"
    inner = INNER.replace("{host}", host).replace("{name}", attempt.name)
    # One line less where the mark ends the head.
    request = attempt.request.replace("{mark}\r\n\r\n", "{mark}\r\n").replace(INNER, inner)
    for field, value in (("mark", mark), ("host", host), ("HOST", host.upper())):
        request = request.replace(f"{{{field}}}", value)
    request = request.replace("{inner}", str(len(inner))).replace("{inner:x}", f"{len(inner):x}")
    server_name = host if attempt.server_name == "{host}" else attempt.server_name
    answer = b""
    try:
        with connect(host, attempt.port, tls=attempt.tls, server_name=server_name, alpn=["http/1.1"]) as connection:
            connection.sendall(request.encode())
            while received := connection.recv(65536):
                answer += received
    except (TimeoutError, ssl.SSLError, ConnectionError):
        pass  # Refused, or held open: what arrived is asked of the upstream.
    return answer


def send_http2(attempt: Http2Attempt, host: str, credentials: list[tuple[str, str]]) -> list[h2.events.Event]:
    """Send the attempt and return what happened."""
    configuration = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
    )
    http2 = h2.connection.H2Connection(configuration)
    headers = [(name, value.replace("{host}", host)) for name, value in attempt.headers]
    headers += [("x-attempt", f"h2 {attempt.name}"), *credentials]
    events: list[h2.events.Event] = []
    try:
        with connect(host, 443, tls=True, server_name=host, alpn=["h2"]) as connection:
            http2.initiate_connection()
            http2.send_headers(1, headers, end_stream=not attempt.body)
            if attempt.body:
                http2.send_data(1, attempt.body, end_stream=True)
            connection.sendall(http2.data_to_send())
            while received := connection.recv(65536):
                events += http2.receive_data(received)
                connection.sendall(http2.data_to_send())
                if any(isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) for event in events):
                    break
    except (TimeoutError, ssl.SSLError, ConnectionError, h2.exceptions.ProtocolError):
        pass
    return events


@dataclass(frozen=True)
class Arrivals:
    """What reached the upstream: the number of requests by attempt (None: it is not named), and their text.

    ``answers`` is what nginx said to the attempts by HTTP/1.
    """

    attempts: Counter[str | None]
    text: str
    answers: list[bytes]


def sent(host: Host, *, with_key: bool) -> Arrivals:
    """Send all attempts to the host, and ask its upstream what arrived."""
    name = f"whisper.{host.ansible.get_variables()['site_domain']}"
    size = host.file(UPSTREAM_LOG).size if host.file(UPSTREAM_LOG).exists else 0
    answers = [send(attempt, name, f"{BEARER}\r\n" if with_key else "") for attempt in ATTEMPTS]
    for http2_attempt in HTTP2_ATTEMPTS:
        send_http2(http2_attempt, name, [("authorization", f"Bearer {KEY}")] if with_key else [])
    text = host.check_output("tail -c +%s %s", str(size + 1), UPSTREAM_LOG) if host.file(UPSTREAM_LOG).exists else ""
    requests = [json.loads(line)["headers"] for line in text.splitlines()]
    headers = [{header.lower(): value for header, value in request} for request in requests]
    return Arrivals(Counter(header.get("x-attempt") for header in headers), text, answers)


@pytest.fixture(scope="module")
def arrived_without_key(host: Host) -> Arrivals:
    return sent(host, with_key=False)


@pytest.fixture(scope="module")
def arrived_with_key(host: Host) -> Arrivals:
    return sent(host, with_key=True)


NAMES = [attempt.name for attempt in ATTEMPTS] + [f"h2 {attempt.name}" for attempt in HTTP2_ATTEMPTS]
WELL_FORMED = [attempt.name for attempt in ATTEMPTS if attempt.arrives] + [
    f"h2 {attempt.name}" for attempt in HTTP2_ATTEMPTS if attempt.arrives
]


def test_attempts_can_be_told_apart() -> None:
    assert len(NAMES) >= 40
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_key_it_does_not_arrive(arrived_without_key: Arrivals, name: str) -> None:
    assert arrived_without_key.attempts[name] == 0


def test_nothing_else_arrives_either(arrived_without_key: Arrivals) -> None:
    """Not without the line that names the attempt, and not what hides in a body."""
    assert arrived_without_key.text == ""


def test_it_was_not_for_their_number_that_they_were_refused(arrived_without_key: Arrivals) -> None:
    statuses = Counter(answer.split(b"\r\n")[0] for answer in arrived_without_key.answers)
    assert sum(number for status, number in statuses.items() if b" 401 " in status) >= len(ATTEMPTS) / 2
    assert [status for status in statuses if b" 429 " in status or b" 200 " in status] == []


@pytest.mark.parametrize("name", WELL_FORMED)
def test_with_a_key_it_arrives(arrived_with_key: Arrivals, name: str) -> None:
    assert arrived_with_key.attempts[name] == 1


def test_with_a_key_nothing_more_arrives_than_was_sent(arrived_with_key: Arrivals) -> None:
    """What hides in a body stays there, even for those who may come in."""
    assert arrived_with_key.attempts - Counter(NAMES) == Counter()
