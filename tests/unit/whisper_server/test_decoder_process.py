"""Processes that decode: what they may not do, and what is left when one ends badly.

The confinement is tried with code of the tests' own, in a process that confines itself as those that decode do: no file
is known that makes FFmpeg do these things.
"""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.whisper_server.conftest import eventually
from whisper_server.speech import decoder_process, decoding
from whisper_server.speech.decoder_process import DecoderProcesses
from whisper_server.speech.errors import NotAudio, UndecodableAudio

IMAGES = Path(decoder_process.__file__).parents[2]


@pytest.fixture
def speech_like(tmp_path: Path) -> Path:
    """Ten seconds of noise."""
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(os.urandom(320_000))
    return path


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderProcesses]:
    """A fork server of this test's own."""
    processes = DecoderProcesses()
    monkeypatch.setattr(decoding, "PROCESSES", processes)
    yield processes
    processes.close()


def server_of(processes: DecoderProcesses) -> int:
    processes.start()
    assert processes._server is not None
    return processes._server.pid


def children(pid: int) -> list[int]:
    """The processes of a fork server; when none decodes, the one that is ready for the next file."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - iterating over it would open one more


def confined(imports: str, code: str) -> subprocess.CompletedProcess[str]:
    """How a process ends that imports something, confines itself, and runs some code for at most a second."""
    lines = [
        imports,
        "from whisper_server.speech import decoder_process as p",
        "p._SECONDS = 1",
        "p._be_confined()",
        code,
    ]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={**os.environ, "PYTHONPATH": str(IMAGES)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("imports", "code"),
    [
        ("import os", "os.open('/etc/hostname', os.O_RDONLY)"),
        ("import os", "os.pipe()"),
        ("import socket", "socket.socket()"),
        ("import os", "os.open('/proc/self/fd/0', os.O_RDONLY)"),
    ],
    ids=["file", "pipe", "socket", "descriptor"],
)
def test_it_opens_nothing(imports: str, code: str) -> None:
    assert "Too many open files" in confined(imports, code).stderr


def test_its_memory_is_bounded() -> None:
    assert "MemoryError" in confined("", f"bytearray({decoder_process.MEMORY})").stderr
    assert confined("", f"bytearray({decoder_process.MEMORY // 2})").returncode == 0


def test_its_processor_time_is_bounded() -> None:
    assert confined("", "while True: pass").returncode == -signal.SIGXCPU


def test_a_list_of_files_opens_none_of_them(speech_like: Path, tmp_path: Path) -> None:
    """Each line is what FFmpeg's concat format would open: a file by its path, or by a descriptor that is open here."""
    with speech_like.open("rb") as opened:
        for entry in (speech_like.name, str(speech_like), f"/proc/self/fd/{opened.fileno()}", str(opened.fileno())):
            listing = tmp_path / "list"
            listing.write_text(f"ffconcat version 1.0\nfile {entry}\n")
            for work in (decoding.check, decoding.decode):
                with pytest.raises(NotAudio):
                    work(listing, 1000)


def test_a_pipe_in_a_list_blocks_no_thread(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    listing = tmp_path / "list"
    listing.write_text(f"ffconcat version 1.0\nfile /proc/{os.getpid()}/fd/{reading}\n")
    start = time.monotonic()
    with pytest.raises(NotAudio):
        decoding.decode(listing, 1000)
    os.close(reading)
    os.close(writing)
    assert time.monotonic() - start < 10


def hour(path: Path) -> Path:
    """An hour of silence, as a file with nothing but a header on the disk."""
    size = 3600 * 192_000
    header = struct.pack("<IHHIIHH", 16, 1, 2, 48_000, 192_000, 4, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + header + b"data" + struct.pack("<I", size))
        file.truncate(size + 44)
    return path


def test_what_is_not_wanted_any_more_ends(processes: DecoderProcesses, tmp_path: Path) -> None:
    server, before = server_of(processes), descriptors()

    def unwanted(*_: object) -> None:
        raise KeyError("not wanted")

    with pytest.raises(KeyError):
        decoding.decode(hour(tmp_path / "a.wav"), 10_000, reached=unwanted)
    assert descriptors() == before
    assert eventually(lambda: len(children(server)) == 1)


def test_it_tells_how_much_of_the_file_was_read(tmp_path: Path) -> None:
    path = hour(tmp_path / "a.wav")
    with path.open("r+b") as file:
        file.seek(44)
        file.write(os.urandom(192_000))  # without any sound another track is tried
    told: list[tuple[str, float]] = []
    with decoding.decode(path, 10_000, reached=lambda *reached: told.append(reached)) as recording:
        assert recording.seconds == 3600
    shares = [share for _, share in told]
    assert {stage for stage, _ in told} == {"decoding"}
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.95 < shares[-1] <= 1
    assert len(shares) > 100


def test_a_process_that_dies_is_an_error_of_its_file_alone(
    processes: DecoderProcesses, speech_like: Path, tmp_path: Path
) -> None:
    server, before = server_of(processes), descriptors()

    def kill(*_: object) -> None:
        killed = children(server)
        for child in killed:
            os.kill(child, signal.SIGKILL)
        # The one that was ready could else take the next file, and die of this.
        while set(killed) & set(children(server)):
            time.sleep(0.01)

    with pytest.raises(UndecodableAudio, match="Convert"):
        decoding.decode(hour(tmp_path / "hour.wav"), 10_000, reached=kill)
    assert descriptors() == before
    with decoding.decode(speech_like, 100) as recording:
        assert recording.seconds == 10
    assert server_of(processes) == server


def test_a_fork_server_that_was_killed_is_replaced(processes: DecoderProcesses, speech_like: Path) -> None:
    first = server_of(processes)
    decoding.check(speech_like, 100)
    os.kill(first, signal.SIGKILL)
    # The first one is decoded by the process that was ready.
    for _ in range(2):
        with decoding.decode(speech_like, 100) as recording:
            assert recording.seconds == 10
    assert server_of(processes) != first


def test_many_at_once(processes: DecoderProcesses, speech_like: Path) -> None:
    before, lengths = descriptors(), []

    def decode() -> None:
        for _ in range(10):
            with decoding.decode(speech_like, 100) as recording:
                lengths.append(recording.seconds)

    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [10.0] * 80
    assert eventually(lambda: len(children(server_of(processes))) == 1)
    assert descriptors() == before + 1, "the socket of the fork server"
