"""What strangers can have written to the disk, and that it is bounded."""

import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

ACCESS_LOG = "/var/log/nginx/whisper-services.log"
CONNECTIONS, REQUESTS = 40, 25
# One in a hundred is logged: of all 1,000 more than 40 in one run of 10^12.
SAMPLED = 40
LONGEST_LINE = 1500
LONG = '"' * 7800


@pytest.fixture
def name(host: Host) -> str:
    return f"whisper.{host.ansible.get_variables()['site_domain']}"


def connect(name: str, port: int, *, tls: bool) -> socket.socket:
    connection = socket.create_connection((name, port), timeout=10)
    if not tls:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=name)


def send(name: str, request: str, count: int, *, port: int, tls: bool) -> None:
    """Send a request that often, on as few connections as nginx wants, and read what comes back."""
    left = count
    while left:
        with connect(name, port, tls=tls) as connection:
            try:
                while left:
                    left -= 1
                    connection.sendall(request.encode())
                    if not connection.recv(65536):
                        break
            except ConnectionError:
                pass  # nginx closes a connection after a malformed request, and after 1,000.


def ask(name: str, *lines: str) -> None:
    """Send one request, and read all of the answer."""
    with connect(name, 443, tls=True) as connection:
        connection.sendall(
            "".join(f"{line}\r\n" for line in (*lines, f"Host: {name}", "Connection: close", "")).encode()
        )
        while connection.recv(65536):
            pass


def sizes(host: Host) -> dict[str, int]:
    """Bytes of every log of nginx."""
    shown = host.check_output("find /var/log/nginx -name '*.log' -printf '%f %s\\n'")
    return {name: int(size) for name, size in map(str.split, shown.splitlines())}


def added(host: Host, before: dict[str, int]) -> list[str]:
    """Lines that the logs have more than before."""
    lines = []
    for log in sizes(host):
        text = host.check_output("tail -c +%s %s", str(before.get(log, 0) + 1), f"/var/log/nginx/{log}")
        lines += text.splitlines()
    return lines


HOST = "Host: {name}\r\n"
STRANGERS = {
    "long paths": (443, True, f"GET /{LONG} HTTP/1.1\r\n{HOST}\r\n"),
    "long queries": (443, True, f"GET /?{LONG} HTTP/1.1\r\n{HOST}\r\n"),
    "long methods": (443, True, f"{'X' * 7800} / HTTP/1.1\r\n{HOST}\r\n"),
    "long headers": (443, True, f"GET / HTTP/1.1\r\n{HOST}User-Agent: {LONG}\r\nReferer: {LONG}\r\n\r\n"),
    "preflights": (443, True, f"OPTIONS /{LONG} HTTP/1.1\r\n{HOST}\r\n"),
    "malformed": (443, True, f"GET /../{LONG} HTTP/1.1\r\n{HOST}\r\n"),
    "hosts of nobody": (443, True, f"GET / HTTP/1.1\r\nHost: {'a' * 7800}\r\n\r\n"),
    "redirects": (80, False, f"GET /{LONG} HTTP/1.1\r\n{HOST}Referer: {LONG}\r\n\r\n"),
    "challenges": (80, False, f"GET /.well-known/acme-challenge/{'a' * 200}/{LONG} HTTP/1.1\r\n{HOST}\r\n"),
    "nobody's challenges": (
        80,
        False,
        f"GET /.well-known/acme-challenge/{LONG} HTTP/1.1\r\nHost: a.b\r\nReferer: {LONG}\r\n\r\n",
    ),
    "hosts of nobody by plain HTTP": (80, False, f"GET /{LONG} HTTP/1.1\r\nHost: {'a' * 7000}\r\n\r\n"),
    "plain HTTP on 443": (443, False, f"GET /{LONG} HTTP/1.1\r\n{HOST}\r\n"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_strangers_write_little(host: Host, name: str, case: str) -> None:
    port, tls, request = STRANGERS[case]
    before = sizes(host)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        request = request.replace("{name}", name)
        senders = [pool.submit(send, name, request, REQUESTS, port=port, tls=tls) for _ in range(CONNECTIONS)]
    for sender in senders:
        sender.result()
    lines = added(host, before)
    # And the 401 of those whom limit_req lets through, of which one in a hundred counts too.
    assert len(lines) <= SAMPLED
    assert max(map(len, lines), default=0) <= LONGEST_LINE


def logged(host: Host, before: dict[str, int]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in added(host, before)]


def test_wrong_credentials_are_all_logged_and_cut(host: Host, name: str) -> None:
    before = sizes(host)
    for _ in range(5):
        ask(name, f"GET /{LONG} HTTP/1.1", "Authorization: Bearer wrong")
    entries = logged(host, before)
    assert [entry["status"] for entry in entries] == [401] * 5
    assert {len(entry["path"]) for entry in entries} == {200}
    assert {entry["credentials"] for entry in entries} == {"bearer"}


def test_what_a_client_with_a_key_does_is_all_logged(host: Host, name: str) -> None:
    before = sizes(host)
    for line in ("GET /v1/models", "GET /busy", "GET /.models", f"{'X' * 100} /v1/audio"):
        for _ in range(5):
            ask(name, f"{line} HTTP/1.1", "Authorization: Bearer molecule-key-0123456789abcdef0123456789")
    entries = logged(host, before)
    assert [entry["status"] for entry in entries] == [200] * 5 + [404] * 10 + [200] * 5
    assert entries[-1]["method"] == "X" * 20


def test_a_log_of_100_mb_is_rotated_within_the_hour(host: Host) -> None:
    timer = host.check_output("systemctl show logrotate.timer --property=TimersCalendar,ActiveState,AccuracyUSec")
    assert "OnCalendar=hourly" in timer.replace("*-*-* *:00:00", "hourly")
    assert "ActiveState=active" in timer
    before = host.file(ACCESS_LOG).size
    host.check_output("systemctl start logrotate.service")
    assert host.file(ACCESS_LOG).size >= before, "a small one is left for the day's rotation"
    host.check_output("truncate --size=101M %s", ACCESS_LOG)
    host.check_output("systemctl start logrotate.service")
    assert host.file(ACCESS_LOG).size < 1024**2
    # Sparse, and of no use.
    host.check_output("rm %s.1", ACCESS_LOG)


def test_nothing_of_debians_rotation_fails(host: Host) -> None:
    done = host.run("logrotate --debug /etc/logrotate.conf")
    assert done.rc == 0
    assert "error:" not in done.stderr
