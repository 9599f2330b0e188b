"""The problems reported for names that do not resolve to the server, and none for those that do."""

import errno
import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from roles.certificates.files import probe

PATH = "/.well-known/acme-challenge/probe"
TOKEN = "token-of-this-server"


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        right = self.path == PATH and self.headers["Host"] == "localhost"
        body = TOKEN.encode() if right else b"nothing here"
        self.send_response(200 if right else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names resolve to 127.0.0.1, where localhost might be ::1 too."""
    resolve = socket.getaddrinfo

    def getaddrinfo(name: str, *arguments: int, **options: int) -> object:
        return resolve("127.0.0.1" if name == "localhost" else name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as web:
        monkeypatch.setattr(probe, "PORT", web.server_port)
        thread = threading.Thread(target=web.serve_forever, args=[0.01])
        thread.start()
        yield
        web.shutdown()
        thread.join()


@pytest.mark.usefixtures("server")
def test_a_name_that_leads_here_needs_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(PATH, TOKEN, "localhost") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("server")
def test_another_server_is_told_from_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(PATH, "token-of-another", "localhost") == 1
    assert capsys.readouterr().out.startswith(
        "localhost resolves to 127.0.0.1, where another web server responds on port 80 (status 200)."
    )


@pytest.mark.usefixtures("server")
def test_all_names_have_their_turn(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(PATH, TOKEN, "nowhere.invalid", "localhost") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("nowhere.invalid has no address in DNS (")
    assert line.endswith("Create an A record that points to the server.")


def test_a_closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(probe, "PORT", listener.getsockname()[1])
    (problem,) = probe.problems_of("localhost", PATH, TOKEN)
    assert problem.startswith("localhost resolves to 127.0.0.1, whose port 80 is closed.")


def test_a_port_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(probe, "PORT", listener.getsockname()[1])
        monkeypatch.setattr(probe, "TIMEOUT", 0.1)
        (problem,) = probe.problems_of("localhost", PATH, TOKEN)
    assert "open port 80 in its firewall" in problem


def test_an_address_without_a_route_is_not_judged_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(http.client.HTTPConnection, "request", no_route)
    (problem,) = probe.problems_of("localhost", PATH, TOKEN)
    assert problem == "localhost resolves to 127.0.0.1, to which the control node has no route."
