"""Nothing that a file says opens another file, descriptor, address or device, or waits for one."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from tests.media import lists
from tests.media.files import Track, tone, write
from tests.media.hearing import hear
from whisper_server.speech.errors import NotAudio, UndecodableAudio

# Refusing takes milliseconds; a file that waits for a pipe waits for ever.
AT_ONCE = 10


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("secret") / "a.wav", Track("pcm_s16le", tone(1)))


@pytest.fixture
def upload(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """A file as the servers store it: its name has no suffix."""

    def stored(content: str | bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return stored


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server at this machine that must see no connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        yield server
        with pytest.raises(TimeoutError):
            server.accept()


def refuse(path: Path) -> str:
    """The message with which a file is refused as no recording; in a thread, which a file that waits may keep."""
    raised: list[BaseException | None] = []

    def attempt() -> None:
        try:
            hear(path)
            raised.append(None)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(AT_ONCE)
    assert raised, f"still waiting after {AT_ONCE} s"
    assert isinstance(raised[0], NotAudio), f"not refused: {raised[0]!r}"
    return str(raised[0])


@pytest.mark.parametrize("kind", lists.NAMING)
def test_a_list_that_names_a_file(kind: str, secret: Path, upload: Callable[[str], Path]) -> None:
    refuse(upload(lists.NAMING[kind].format(target=secret)))


@pytest.mark.parametrize("spelling", lists.SPELLINGS)
@pytest.mark.parametrize("kind", ["ffconcat", "hls"])
def test_other_spellings(kind: str, spelling: str, secret: Path, upload: Callable[[str], Path]) -> None:
    refuse(upload(lists.NAMING[kind].format(target=spelling.format(path=secret))))


@pytest.mark.parametrize("form", ["{fd}", "/proc/self/fd/{fd}", "/dev/fd/{fd}", "fd:{fd}", "pipe:{fd}", "fd:?fd={fd}"])
@pytest.mark.parametrize("kind", ["ffconcat", "ffconcat with options", "hls", "concat without header"])
def test_a_list_that_names_a_descriptor(kind: str, form: str, secret: Path, upload: Callable[[str], Path]) -> None:
    """The upload of another client is such a descriptor, and its number is easily guessed."""
    with secret.open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        refuse(upload(lists.NAMING[kind].format(target=form.format(fd=file.fileno()))))


@pytest.mark.parametrize("kind", ["ffconcat", "hls"])
def test_a_list_that_names_a_pipe(kind: str, upload: Callable[[str], Path]) -> None:
    reading, writing = os.pipe()
    try:
        refuse(upload(lists.NAMING[kind].format(target=f"/proc/self/fd/{reading}")))
    finally:
        os.close(writing)
        os.close(reading)


@pytest.mark.parametrize("kind", ["ffconcat", "ffconcat with options", "hls", "hls with key", "dash", "smil", "m3u"])
@pytest.mark.parametrize("scheme", ["http", "tcp", "rtsp", "rtmp", "ftp", "gopher"])
def test_a_list_that_names_an_address(
    kind: str, scheme: str, upload: Callable[[str], Path], listener: socket.socket
) -> None:
    host, port = listener.getsockname()
    refuse(upload(lists.NAMING[kind].format(target=f"{scheme}://{host}:{port}/a.wav")))


@pytest.mark.parametrize("text", [lists.SDP, lists.RTSP], ids=["sdp", "rtsp"])
def test_a_description_of_a_session(text: str, upload: Callable[[str], Path], listener: socket.socket) -> None:
    refuse(upload(text.format(port=listener.getsockname()[1])))


@pytest.mark.parametrize("kind", ["ffconcat", "hls"])
def test_sound_in_the_name_itself(kind: str, upload: Callable[[str], Path]) -> None:
    refuse(upload(lists.NAMING[kind].format(target="data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEA")))


@pytest.mark.parametrize("name", ["a%03d", "/proc/self/fd/%d", "a.ffconcat", "concat:a", "pipe:", "data:,a", "a.m3u8"])
def test_the_name_of_an_upload_means_nothing(name: str, tmp_path: Path) -> None:
    """Uploads are opened as files, so that a name that looks like a pattern or an address is a name."""
    path = tmp_path / name.replace("/", "_")
    content = write(tmp_path / "a.wav", Track("pcm_s16le", tone(1))).read_bytes()
    path.write_bytes(content)
    assert hear(path).seconds == 1


def test_a_film_whose_samples_are_in_another_file(secret: Path, upload: Callable[[bytes], Path]) -> None:
    """FFmpeg reads it where it is told to follow such references, which this server must not."""
    film = upload(lists.mov_naming(str(secret)))
    with av.open(str(film), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 0
    with contextlib.suppress(NotAudio, UndecodableAudio):
        assert hear(film).rms() == 0


@pytest.mark.parametrize("container", ["wav", "mkv", "mp4"])
def test_a_list_after_a_recording(
    container: str, secret: Path, upload: Callable[[bytes], Path], tmp_path: Path
) -> None:
    """What follows a recording is never read as another kind of file."""
    codec = "pcm_s16le" if container != "mp4" else "aac"
    recording = write(tmp_path / f"a.{container}", Track(codec, tone(1))).read_bytes()
    heard = hear(upload(recording + lists.NAMING["ffconcat"].format(target=secret).encode()))
    assert heard.seconds < 1.2
