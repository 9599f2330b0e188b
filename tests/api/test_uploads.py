"""Uploads that are many, slow, or wait: through the public endpoint."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from testbed.word_error_rate import word_error_rate
from tests.api.conftest import Demo, Recording

URL = "/v1/audio/transcriptions"


@pytest.fixture
def begin(demo: Demo, trust: ssl.SSLContext, http: httpx.Client) -> Iterator[Callable[[], ssl.SSLSocket]]:
    """Begins an upload of 1 MB, which the test goes on with."""
    assert http.get("/v1/models").status_code == 200, "the service runs"
    address = urlsplit(demo.url)
    head = (
        f"POST {URL} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {demo.key}\r\n"
        "Content-Length: 1000000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    ).encode()
    held: list[ssl.SSLSocket] = []

    def begun() -> ssl.SSLSocket:
        plain = socket.create_connection((address.hostname or "", address.port or 443), timeout=30)
        held.append(trust.wrap_socket(plain, server_hostname=address.hostname))
        held[-1].sendall(head)
        return held[-1]

    yield begun
    for connection in held:
        connection.close()


def test_uploads_of_one_key_are_limited(http: httpx.Client, begin: Callable[[], ssl.SSLSocket]) -> None:
    for _ in range(16):
        begin()
    answer = http.post(URL, files={"file": ("a.wav", b"sound")})
    for _ in range(50):
        if answer.status_code != 415:
            break
        time.sleep(0.2)  # not all of them have arrived yet
        begin()  # or nginx refused one, after many requests of the tests before
        answer = http.post(URL, files={"file": ("a.wav", b"sound")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_uploads"), answer.text
    assert int(answer.headers["retry-after"]) > 0


def test_a_trickle_is_ended(begin: Callable[[], ssl.SSLSocket]) -> None:
    """A byte every two seconds, which no proxy on the way takes for silence."""
    connection = begin()
    connection.settimeout(2)
    answer = b""
    deadline = time.monotonic() + 90
    while b'"code":"request_timeout"' not in answer.replace(b" ", b""):
        assert time.monotonic() < deadline, answer
        try:
            if not answer:
                connection.sendall(b"x")
            answer += connection.recv(65536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_stream_that_waits_gets_its_own_words(http: httpx.Client, recordings: list[Recording]) -> None:
    """The queue is longer than the five seconds after which a stream begins to answer; others upload meanwhile."""
    long = next(r for r in recordings if r.path.match("silero/aepyx.wav"))
    clip = next(r for r in recordings if r.path.match("librivox/*-0880.wav"))
    other = next(r for r in recordings if r.path.match("moonshine/beckett.wav"))

    def post(recording: Recording, **form: str) -> httpx.Response:
        files = {"file": (recording.path.name, recording.path.read_bytes())}
        return http.post(URL, files=files, data={"language": "en", **form}, timeout=300)

    alone = post(clip).json()["text"]
    with ThreadPoolExecutor(6) as pool:
        before = [pool.submit(post, long) for _ in range(2)]
        time.sleep(1)
        streamed = pool.submit(post, clip, stream="true")
        time.sleep(1)
        after = [pool.submit(post, other) for _ in range(3)]
        lines = streamed.result().text.splitlines()
        assert all(answer.result().status_code == 200 for answer in [*before, *after])
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert events[-1]["type"] == "transcript.text.done", events
    assert word_error_rate(alone, events[-1]["text"]) < 0.1
