"""Requests that nginx itself refuses, most of them while it reads their head: an OpenAI object each."""

import json
import re
import socket
import ssl

import h2.config
import h2.connection
import h2.events
import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

KEY = "Authorization: Bearer molecule-key-0123456789abcdef0123456789"
HEAD = f"Host: {{host}}\r\n{KEY}\r\nConnection: close\r\n\r\n"

MALFORMED = {
    "dots above the root": (f"GET /../x HTTP/1.1\r\n{HEAD}", 400),
    "an encoded NUL": (f"GET /%00 HTTP/1.1\r\n{HEAD}", 400),
    "a broken escape": (f"GET /%zz HTTP/1.1\r\n{HEAD}", 400),
    "a target of 9 KB": (f"GET /{'a' * 9000} HTTP/1.1\r\n{HEAD}", 414),
    "a query of 9 KB": (f"GET /v1/models?{'a' * 9000} HTTP/1.1\r\n{HEAD}", 414),
    "no address": (f"GET  HTTP/1.1\r\n{HEAD}", 400),
    "an address without a slash": (f"GET v1/models HTTP/1.1\r\n{HEAD}", 400),
    "a method in lower case": (f"get /v1/models HTTP/1.1\r\n{HEAD}", 400),
    "no request at all": ("\x01\x02\x03\r\n\r\n", 400),
    "a version of nobody's": (f"GET /v1/models HTTP/9.9\r\n{HEAD}", 505),
    "a version that is none": (f"GET /v1/models FTP/1.1\r\n{HEAD}", 400),
    "no host": (f"GET /v1/models HTTP/1.1\r\n{KEY}\r\n\r\n", 400),
    "a host that is none": (f"GET /v1/models HTTP/1.1\r\nHost: a/b\r\n{KEY}\r\n\r\n", 400),
    "a header of 9 KB": (f"GET /v1/models HTTP/1.1\r\nX-Long: {'a' * 9000}\r\n{HEAD}", 431),
    "headers of 60 KB": ("GET /v1/models HTTP/1.1\r\n" + f"X-Long: {'a' * 4000}\r\n" * 15 + HEAD, 431),
    "an encoding of nobody's": (f"POST /v1/models HTTP/1.1\r\nTransfer-Encoding: gzip\r\n{HEAD}", 501),
    "a length that is none": (f"POST /v1/models HTTP/1.1\r\nContent-Length: x\r\n{HEAD}", 400),
    "chunks that are none": (f"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{HEAD}zz\r\n", 400),
    "TRACE": (f"TRACE /v1/models HTTP/1.1\r\n{HEAD}", 405),
    "a page of errors": (f"GET /.error-400.json HTTP/1.1\r\n{HEAD}", 404),
}


@pytest.fixture
def name(host: Host) -> str:
    return f"whisper.{host.ansible.get_variables()['site_domain']}"


def connect(name: str, alpn: str) -> ssl.SSLSocket:
    # Whether the certificate is trusted is another test's business.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(socket.create_connection((name, 443), timeout=10), server_hostname=name)


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def error_of(body: bytes) -> dict[str, object]:
    """The error object that is all of a body."""
    document = json.loads(body)
    assert document.keys() == {"error"}
    error: dict[str, object] = document["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_get_an_error_object(name: str, case: str) -> None:
    request, status = MALFORMED[case]
    with connect(name, "http/1.1") as connection:
        connection.sendall(request.replace("{host}", name).encode())
        head, _, body = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert b"content-type: application/json" in head.lower()
    error_of(body)


@pytest.mark.parametrize("case", ["dots above the root", "a target of 9 KB", "TRACE"])
def test_nobody_needs_a_key_to_be_told(name: str, case: str) -> None:
    request, status = MALFORMED[case]
    with connect(name, "http/1.1") as connection:
        connection.sendall(request.replace(f"{KEY}\r\n", "").replace("{host}", name).encode())
        head, _, body = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    error_of(body)


@pytest.mark.parametrize("method", ["WHISPER", "PROPFIND", "X" * 100])
def test_a_method_of_nobodys_is_not_nginx_to_judge(name: str, method: str) -> None:
    with connect(name, "http/1.1") as connection:
        connection.sendall(f"{method} /x HTTP/1.1\r\n{HEAD}".replace("{host}", name).encode())
        assert received(connection).startswith(b"HTTP/1.1 200 ")


HTTP2_PATHS = {
    "dots above the root": ("/../x", b"400"),
    "an encoded NUL": ("/%00", b"400"),
    "a broken escape": ("/%zz", b"400"),
    "no slash": ("v1/models", b"400"),
}


@pytest.mark.parametrize("case", HTTP2_PATHS)
def test_malformed_requests_by_http2_too(name: str, case: str) -> None:
    path, status = HTTP2_PATHS[case]
    http2 = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False, header_encoding=None))
    answer: dict[bytes, bytes] = {}
    body = b""
    with connect(name, "h2") as connection:
        http2.initiate_connection()
        http2.send_headers(
            1, [(":method", "GET"), (":scheme", "https"), (":authority", name), (":path", path)], end_stream=True
        )
        connection.sendall(http2.data_to_send())
        ended = False
        while not ended:
            for event in http2.receive_data(connection.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    answer = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                ended = ended or isinstance(event, h2.events.StreamEnded)
            connection.sendall(http2.data_to_send())
    assert answer[b":status"] == status
    assert answer[b"content-type"] == b"application/json"
    error_of(body)


@pytest.mark.parametrize(("port", "request_line"), [(80, "GET /../x"), (80, "TRACE /"), (443, "GET /")])
def test_plain_http_gets_no_page_of_nginx_either(name: str, port: int, request_line: str) -> None:
    with socket.create_connection((name, port), timeout=10) as connection:
        connection.sendall(f"{request_line} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = received(connection).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 40[05] ", head), head
    assert b"strict-transport-security" not in head.lower()
    error_of(body)


def test_the_redirect_to_https_takes_every_size(name: str) -> None:
    with socket.create_connection((name, 80), timeout=10) as connection:
        connection.sendall(f"POST /x HTTP/1.1\r\nHost: {name}\r\nContent-Length: 5000000\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 301 ")
