"""Runs on the server itself, which has no more than Python: asks nginx and the upstream, and prints what it measured.

``python3 - HOST KEY < edge_client.py``; the output is a JSON object of the fields of `Measured`.
"""

import json
import socket
import ssl
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HOST, KEY = sys.argv[1:]
UPSTREAM = 8890
ROUNDS, REQUESTS, UPLOADS = 8, 300, 7
UPLOAD = 500_000_000
CHUNK = bytes(262_144)
# A form with one file, as RFC 7578 has it.
BEFORE = b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
AFTER = b"\r\n--boundary--\r\n"
HEAD = f"Host: {HOST}\r\nAuthorization: Bearer {KEY}\r\n"


@dataclass(frozen=True)
class Measured:
    """Milliseconds of a request straight and through nginx, medians; an upload's speed through nginx by that straight.

    The speeds are the best of a number, for whatever else the machine does only makes one slower. ``written`` is the
    number of bytes that nginx wrote to disk during one upload.
    """

    straight: float
    through: float
    upload_speed: float
    written: int


def connect(*, through_nginx: bool) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", 443 if through_nginx else UPSTREAM))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not through_nginx:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=HOST)


def read_answer(connection: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"}"):
        received = connection.recv(65536)
        if not received:
            raise ConnectionError(f"no whole answer: {answer!r}")
        answer += received
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"refused: {answer!r}")


def milliseconds(*, through_nginx: bool) -> list[float]:
    """One request after the other on one connection, which is kept alive."""
    request = f"GET /v1/models HTTP/1.1\r\n{HEAD}\r\n".encode()
    measured = []
    with connect(through_nginx=through_nginx) as connection:
        for _ in range(REQUESTS):
            start = time.perf_counter()
            connection.sendall(request)
            read_answer(connection)
            measured.append(1e3 * (time.perf_counter() - start))
    return measured


def upload_seconds(*, through_nginx: bool) -> float:
    length = len(BEFORE) + UPLOAD + len(AFTER)
    form = f"Content-Type: multipart/form-data; boundary=boundary\r\nContent-Length: {length}\r\n"
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\n{HEAD}{form}\r\n"
    with connect(through_nginx=through_nginx) as connection:
        start = time.monotonic()
        connection.sendall(head.encode() + BEFORE)
        for sent in range(0, UPLOAD, len(CHUNK)):
            connection.sendall(CHUNK[: UPLOAD - sent])
        connection.sendall(AFTER)
        read_answer(connection)
        return time.monotonic() - start


def written_by_nginx() -> int:
    """Bytes that all of nginx's processes have had written to disk so far."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        if (process / "comm").read_text().strip() == "nginx":
            counters = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
            total += int(counters["write_bytes"])
    return total


def measure() -> Measured:
    straight: list[float] = []
    through: list[float] = []
    for round_number in range(ROUNDS + 1):
        rounds = milliseconds(through_nginx=False), milliseconds(through_nginx=True)
        # The first round is to warm up.
        if round_number:
            straight += rounds[0]
            through += rounds[1]
    before = written_by_nginx()
    upload_seconds(through_nginx=True)
    written = written_by_nginx() - before
    # In turns, so that both see the same machine.
    pairs = [(upload_seconds(through_nginx=False), upload_seconds(through_nginx=True)) for _ in range(UPLOADS)]
    speed = min(straight for straight, _ in pairs) / min(through for _, through in pairs)
    return Measured(statistics.median(straight), statistics.median(through), speed, written)


if __name__ == "__main__":
    print(json.dumps(asdict(measure())))
