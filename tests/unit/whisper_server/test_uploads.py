import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ByteSize

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO, wav
from whisper_server.process import startup
from whisper_server.process.settings import Settings

URL = "/v1/audio/transcriptions"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path, upload_limit=ByteSize(3_000_000))


def test_a_large_upload_arrives_whole_and_leaves_nothing(
    http: httpx.Client, engine: ScriptedEngine, spooled: Callable[[], list[str]]
) -> None:
    audio = wav(bytes(range(256)) * 10_000)
    assert http.post(URL, files={"file": ("speech.wav", audio)}).status_code == 200
    assert engine.heard == [80.0]
    assert spooled() == []


@pytest.mark.parametrize("name", ["a\nb.mp3", "x" * 2000, "../../etc/passwd", "a/b.mp3", "C:\\x.mp3", 'q"q.mp3', "🎤"])
def test_the_file_s_name_means_nothing(http: httpx.Client, settings: Settings, name: str) -> None:
    assert http.post(URL, files={"file": (name, AUDIO)}).status_code == 200
    assert all(path.name in ("spool", "jobs") for path in settings.data_folder.iterdir() if path.is_dir())
    assert list((settings.data_folder / "spool").iterdir()) == []


def test_a_file_name_longer_than_a_header_may_be(http: httpx.Client) -> None:
    answer = http.post(URL, files={"file": ("x" * 10_000, AUDIO)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_form")


def _endless() -> Iterator[bytes]:
    yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    for _ in range(400):
        yield bytes(64 * 1024)


def test_an_upload_of_unknown_length_is_refused_at_the_limit(
    http: httpx.Client, engine: ScriptedEngine, spooled: Callable[[], list[str]]
) -> None:
    answer = http.post(URL, content=_endless(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "upload_too_large"
    assert answer.json()["error"]["param"] == "file"
    assert engine.asked == []
    assert spooled() == []


def test_an_announced_length_above_the_limit_is_refused_before_it_is_sent(http: httpx.Client) -> None:
    with socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=5) as connection:
        connection.sendall(
            f"POST {URL} HTTP/1.1\r\nhost: test\r\ncontent-length: 9000000\r\n"
            "content-type: multipart/form-data; boundary=b\r\n\r\n".encode()
        )
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        # The answer is whole while the server still waits for what the client announced.
        length = re.search(rb"content-length: (\d+)", answer)
        assert length is not None
        while len(answer.partition(b"\r\n\r\n")[2]) < int(length[1]):
            answer += connection.recv(65536)


def test_a_client_that_sends_all_before_it_reads_gets_the_answer(http: httpx.Client) -> None:
    """A connection that was closed at once would be reset, and the answer lost."""
    body = bytes(20_000_000)
    with socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=10) as connection:
        connection.sendall(
            f"POST {URL} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n"
            "content-type: multipart/form-data; boundary=b\r\n\r\n".encode()
        )
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_in_the_middle_leaves_no_file(
    http: httpx.Client, engine: ScriptedEngine, spooled: Callable[[], list[str]]
) -> None:
    connection = socket.create_connection((http.base_url.host, http.base_url.port or 80))
    connection.sendall(
        f"POST {URL} HTTP/1.1\r\nhost: test\r\ncontent-length: 2500000\r\n"
        "content-type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'.encode()
    )
    connection.sendall(bytes(2_000_000))
    assert eventually(lambda: bool(spooled()))
    connection.close()
    assert eventually(lambda: not spooled())
    assert engine.asked == []


def test_a_full_disk_is_said(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", full)
    answer = http.post(URL, files={"file": ("a.mp3", AUDIO)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_space")
    assert answer.headers["retry-after"]


def test_a_data_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        startup.prepare(Settings(data_folder=tmp_path / "file"))
