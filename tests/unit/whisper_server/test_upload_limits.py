"""Many, slow and large uploads: none of them takes the memory, the disk or the places of others."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO, FILE
from whisper_server.http import upload_limits
from whisper_server.process.settings import Settings
from whisper_server.speech.engine import Download
from whisper_server.speech.options import Options
from whisper_server.work import shares

URL = "/v1/audio/transcriptions"
ASYNC = {"prefer": "respond-async"}
BEGIN = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
END = b"\r\n--b--\r\n"


class Free(NamedTuple):
    """What `shutil.disk_usage` says of a disk of 100 GB."""

    free: int
    total: int = 100 * 10**9


@contextmanager
def begun(http: httpx.Client, user: str | None = None, length: int = 10_000_000) -> Iterator[socket.socket]:
    """An upload that has begun, and goes on as the test sends more."""
    named = f"x-remote-user: {user}\r\n" if user else ""
    with socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=20) as connection:
        connection.sendall(
            f"POST {URL} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n{named}"
            "content-type: multipart/form-data; boundary=b\r\n\r\n".encode()
            + BEGIN
        )
        yield connection


@contextmanager
def many(http: httpx.Client, number: int, user: str | None = None) -> Iterator[list[socket.socket]]:
    opened = [begun(http, user) for _ in range(number)]
    before = requests(http)
    connections = [upload.__enter__() for upload in opened]
    try:
        assert eventually(lambda: requests(http) == before + number), http.get("/busy").text
        yield connections
    finally:
        for upload in opened:
            upload.__exit__(None, None, None)


def requests(http: httpx.Client) -> int:
    counted: int = http.get("/busy").json()["requests"]
    return counted


def test_uploads_under_way_are_busy(http: httpx.Client) -> None:
    with many(http, 3):
        assert http.get("/busy").json() == {"busy": 3, "requests": 3, "jobs": 0}
        assert "whisper_uploads 3.0" in http.get("/metrics").text
    assert eventually(lambda: http.get("/busy").json()["busy"] == 0)


def test_a_request_is_counted_once_from_its_first_byte_to_its_answer(
    http: httpx.Client, engine: ScriptedEngine
) -> None:
    engine.go.clear()
    counted: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        with httpx.Client(base_url=http.base_url, timeout=20) as other:
            while not stop.is_set():
                counted.append(requests(other))

    watching = threading.Thread(target=watch)
    with begun(http, length=len(BEGIN + AUDIO + END)) as connection:
        assert eventually(lambda: requests(http) == 1)
        watching.start()
        connection.sendall(AUDIO + END)
        assert eventually(lambda: len(engine.asked) == 1)
        time.sleep(0.2)
        stop.set()
        watching.join()
        engine.go.set()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert set(counted) == {1}
    assert eventually(lambda: requests(http) == 0)


def test_one_client_cannot_take_all_places(http: httpx.Client) -> None:
    alice, bob = {"x-remote-user": "alice"}, {"x-remote-user": "bob"}
    half = upload_limits.PLACES // 2
    with many(http, half, "alice"):
        answer = http.post(URL, files=FILE, headers=alice)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_uploads")
        assert int(answer.headers["retry-after"]) > 0
        assert f"{half} recordings" in answer.json()["error"]["message"]
        assert http.post(URL, files=FILE, headers=bob).status_code == 200
    assert eventually(lambda: requests(http) == 0)
    assert http.post(URL, files=FILE, headers=alice).status_code == 200


def test_there_is_an_end_to_uploads_in_all(http: httpx.Client) -> None:
    with many(http, upload_limits.PLACES):
        answer = http.post(URL, files=FILE)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert int(answer.headers["retry-after"]) > 0
        assert http.get("/health").status_code == 200
    assert eventually(lambda: requests(http) == 0)
    assert http.post(URL, files=FILE).status_code == 200


def test_a_file_that_arrives_lies_on_the_disk(http: httpx.Client, spooled: Callable[[], list[str]]) -> None:
    with begun(http) as connection:
        connection.sendall(bytes(200_000))
        assert eventually(lambda: len(spooled()) == 1)
    assert eventually(lambda: not spooled())


def test_text_fields_are_limited_together(http: httpx.Client, engine: ScriptedEngine) -> None:
    fields = {f"field{number}": "x" * 65_000 for number in range(4)}
    assert http.post(URL, files=FILE, data={**fields, "field3": "x" * 60_000}).status_code == 200
    answer = http.post(URL, files=FILE, data={**fields, "prompt": "x" * 10_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_form")
    assert "256 KB" in answer.json()["error"]["message"]
    assert len(engine.asked) == 1


def test_held_uploads_do_not_fill_the_memory(http: httpx.Client) -> None:
    field = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n' + b"x" * 60_000 + b"\r\n"

    def memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with many(http, 2) as first:
        for connection in first:
            connection.sendall(bytes(900_000) + b"\r\n" + field * 3)
        time.sleep(0.5)
        before = memory()
        with many(http, upload_limits.PLACES - 2) as others:
            for connection in others:
                connection.sendall(bytes(900_000) + b"\r\n" + field * 3)
            time.sleep(1)
            assert memory() - before < (upload_limits.PLACES - 2) * 768 * 1024


class TestSlow:
    @pytest.fixture(autouse=True)
    def window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the real one: 1 KiB/s, over two fifths of a second."""
        monkeypatch.setattr(upload_limits, "_WINDOW_SECONDS", 0.4)
        monkeypatch.setattr(upload_limits, "_WINDOW_BYTES", 400)

    @pytest.mark.parametrize("burst", [0, 1_000_000])
    def test_a_trickle_is_ended(self, http: httpx.Client, spooled: Callable[[], list[str]], burst: int) -> None:
        """Neither bytes now and then nor a fast beginning keep a place."""
        with begun(http) as connection:
            connection.sendall(bytes(burst))
            connection.settimeout(0.05)
            start, answer = time.monotonic(), b""
            while not answer:
                assert time.monotonic() - start < 10
                connection.sendall(b"x")
                try:
                    answer = connection.recv(65536)
                except TimeoutError:
                    continue
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert eventually(lambda: requests(http) == 0)
            assert eventually(lambda: not spooled())

    def test_silence_is_ended_with_advice(self, http: httpx.Client) -> None:
        with begun(http) as connection:
            answer = connection.recv(65536)
            while b'"code"' not in answer:
                answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer
        assert b"Use a faster connection, or compress the audio" in answer

    def test_a_slow_but_honest_link_gets_through(self, http: httpx.Client) -> None:
        with begun(http, length=len(BEGIN) + len(AUDIO) + len(END)) as connection:
            content = AUDIO + END
            pieces = [content[at : at + 8000] for at in range(0, len(content), 8000)]
            for piece in pieces:
                time.sleep(0.15)
                connection.sendall(piece)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert len(pieces) * 0.15 > 2 * upload_limits.__dict__["_WINDOW_SECONDS"]

    def test_only_waiting_for_the_client_counts(self, http: httpx.Client, engine: ScriptedEngine) -> None:
        engine.go.clear()
        with begun(http, length=len(BEGIN + AUDIO + END)) as connection:
            connection.sendall(AUDIO + END)
            time.sleep(1)
            engine.go.set()
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_phone_on_gprs_is_fast_enough() -> None:
    """9.05 kbit/s is one time slot with the most careful coding, CS-1 (3GPP TS 43.064)."""
    assert upload_limits.__dict__["_WINDOW_BYTES"] / upload_limits.__dict__["_WINDOW_SECONDS"] < 9050 / 8


@pytest.mark.parametrize("headers", [{}, ASYNC])
def test_a_reserve_of_the_disk_is_kept(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, settings: Settings, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Free(200 * 1024**2))
    answer = http.post(URL, files=FILE, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_space")
    assert answer.headers["retry-after"] == "60"
    assert list((settings.data_folder / "jobs").iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Free(300 * 1024**2))
    assert http.post(URL, files=FILE, headers=headers).is_success


def test_what_is_announced_must_fit(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Free(300 * 1024**2))
    with begun(http, length=60 * 1024**2) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")


def test_a_disk_that_fills_ends_the_upload(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, spooled: Callable[[], list[str]]
) -> None:
    with begun(http) as connection:
        connection.sendall(bytes(200_000))
        assert eventually(lambda: len(spooled()) == 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Free(0))
        connection.sendall(bytes(200_000))
        assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert eventually(lambda: not spooled())


def test_a_disk_that_fills_while_sound_is_decoded(
    http: httpx.Client, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "failure", OSError(28, "No space left on device"))
    answer = http.post(URL, files=FILE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_space")


def test_a_small_disk_is_not_all_reserve(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Free(30_000_000, 200_000_000))
    assert http.post(URL, files=FILE).status_code == 200


@pytest.mark.parametrize(
    ("limit", "others", "mine"), [(0, 0, 0), (1, 0, 1), (2, 0, 1), (2, 1, 1), (100, 0, 50), (100, 50, 25), (100, 99, 1)]
)
def test_shares(limit: int, others: int, mine: int) -> None:
    """So many may one hold beside others."""
    held: dict[str | None, int] = {"others": others, "me": 0}
    while shares.refusal(held, "me", limit) is None:
        held["me"] += 1
    assert held["me"] == mine


class TestWhileAModelIsFetched:
    @pytest.fixture
    def engine(self) -> Iterator[ScriptedEngine]:
        engine = FetchingEngine()
        yield engine
        engine.fetched.set()

    def test_everything_else_is_answered(self, http: httpx.Client, engine: "FetchingEngine") -> None:
        """Six requests: asyncio's pool has so many threads on two processors."""
        waiting = [threading.Thread(target=http.post, args=(URL,), kwargs={"files": FILE}) for _ in range(12)]
        engine.here = False
        for thread in waiting:
            thread.start()
        assert eventually(lambda: engine.preparing == len(waiting))
        engine.here = True
        for path in ("/v1/models", "/health", "/ready", "/busy", "/metrics", "/jobs", "/v1/models/whisper-1"):
            assert http.get(path, timeout=5).status_code == 200, path
        assert http.post(URL, files=FILE, timeout=5).status_code == 200
        assert http.post(URL, files=FILE, headers=ASYNC, timeout=5).status_code == 202
        assert requests(http) == len(waiting)
        engine.fetched.set()
        for thread in waiting:
            thread.join()

    def test_pulls_of_one_model_wait_for_each_other(self, http: httpx.Client, engine: "FetchingEngine") -> None:
        engine.here = False
        answers: list[int] = []
        waiting = [
            threading.Thread(target=lambda: answers.append(http.post("/v1/models/whisper-1").status_code))
            for _ in range(12)
        ]
        for thread in waiting:
            thread.start()
        assert eventually(lambda: engine.preparing > 0)
        time.sleep(0.3)
        assert engine.preparing == 1
        engine.here = True
        assert http.get("/v1/models", timeout=5).status_code == 200
        assert http.post(URL, files=FILE, timeout=5).status_code == 200
        assert http.delete("/v1/models/whisper-1?files=true", timeout=5).status_code == 403
        engine.fetched.set()
        for thread in waiting:
            thread.join()
        assert answers == [200] * len(waiting)


class FetchingEngine(ScriptedEngine):
    """Its model comes when `fetched` is set, for those who asked while it was not `here`."""

    def __init__(self) -> None:
        super().__init__()
        self.here = True
        self.fetched = threading.Event()
        self.preparing = 0

    def fetch(self, model: str, progress: Callable[[Download], None] = lambda _: None) -> None:
        super().fetch(model, progress)
        if not self.here:
            self.preparing += 1
            assert self.fetched.wait(20)

    def prepare(self, options: Options) -> None:
        self.fetch(options.model)
