"""Files that were cut, and streams of which a part is damaged: the truth is told, nothing is lost in silence."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.media import hand_made
from tests.media.files import Track, shortened, tone, write
from tests.media.hearing import hear
from whisper_server.speech.errors import AudioTooLong, NotAudio, UndecodableAudio

SECONDS = 8
# Containers whose header or index states how much sound there is: suffix, codec and options.
STATING: dict[str, tuple[str, str, dict[str, str]]] = {
    "wav": ("wav", "pcm_s16le", {}),
    "mp3": ("mp3", "libmp3lame", {}),
    "flac": ("flac", "flac", {}),
    "webm": ("webm", "libopus", {}),
    "mkv": ("mkv", "aac", {}),
    "m4a, index first": ("m4a", "aac", {"movflags": "faststart"}),
    "mp4, index first": ("mp4", "aac", {"movflags": "faststart"}),
    "mov, index first": ("mov", "pcm_s16le", {"movflags": "faststart"}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "caf": ("caf", "pcm_s16be", {}),
    "au": ("au", "pcm_s16be", {}),
    "asf": ("asf", "wmav2", {}),
    "avi": ("avi", "mp2", {}),
    "tta": ("tta", "tta", {}),
    "wv": ("wv", "wavpack", {}),
    "mkv, ac3": ("mkv", "ac3", {}),
}
# Those that state nothing, or nothing that FFmpeg tells: it takes the file's size for that of a cut W64 or VOC.
SILENT = {
    "w64": "pcm_s16le",
    "voc": "pcm_s16le",
    "ogg": "libopus",
    "aac": "aac",
    "ts": "aac",
    "amr": "libopencore_amrnb",
    "ac3": "ac3",
    "mpg": "mp2",
    "flv": "aac",
    "nut": "libopus",
    "mp2": "mp2",
}


def sound(codec: str) -> Track:
    """FFmpeg's encoder of AMR takes other rates than 8 kHz, and writes nonsense."""
    rate = 8000 if codec == "libopencore_amrnb" else None
    return Track(codec, tone(SECONDS), rate=rate, options={"b": "64000"} if codec == "wmav2" else {})


@pytest.mark.parametrize("kind", STATING)
def test_a_whole_file_is_taken(tmp_path: Path, kind: str) -> None:
    suffix, codec, options = STATING[kind]
    heard = hear(write(tmp_path / f"a.{suffix}", sound(codec), options=options))
    assert heard.seconds == pytest.approx(SECONDS, abs=0.15)


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("kind", STATING)
def test_a_file_that_was_cut_is_not_taken_for_whole(tmp_path: Path, kind: str, share: float) -> None:
    suffix, codec, options = STATING[kind]
    path = shortened(write(tmp_path / f"a.{suffix}", sound(codec), options=options), share)
    with pytest.raises(UndecodableAudio, match=r"cut short: its header states 8\.\d s, but it contains [1-7]\.\d s"):
        hear(path)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_an_mp4_without_its_index(tmp_path: Path, share: float) -> None:
    """The index is the last part of this file; nothing can be decoded without it."""
    path = shortened(write(tmp_path / "a.m4a", sound("aac"), options={}), share)
    with pytest.raises(NotAudio, match="incomplete"):
        hear(path)


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("suffix", SILENT)
def test_a_file_that_states_nothing_is_decoded_as_far_as_it_goes(tmp_path: Path, suffix: str, share: float) -> None:
    heard = hear(shortened(write(tmp_path / f"a.{suffix}", sound(SILENT[suffix])), share))
    assert heard.seconds == pytest.approx(SECONDS * share, abs=1.0)
    assert heard.rms(0.2, heard.seconds - 0.2) > 0.3


def test_a_recording_of_mediarecorder_states_no_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", sound("libopus"), options={"live": "1"})
    assert hear(path).seconds == pytest.approx(SECONDS, abs=0.1)
    assert hear(shortened(path, 0.5)).seconds == pytest.approx(SECONDS / 2, abs=1)


def opus_in_ogg(packets: list[bytes]) -> bytes:
    """20 ms each."""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, 48_000, 0, 0)
    return hand_made.ogg_pages(7, [head, b"OpusTags" + bytes(8), *packets], 960)


# A frame of 20 ms of Opus with nothing in it but its description, which decodes to silence.
SILENT_FRAME = b"\xf8\xff\xfe"
# Its second byte promises more than follows.
BROKEN_FRAME = b"\xfb\xff\xff"


def test_a_few_damaged_packets_are_skipped_and_keep_their_time(tmp_path: Path) -> None:
    packets = [SILENT_FRAME] * 500
    packets[100:110] = [BROKEN_FRAME] * 10
    (tmp_path / "upload").write_bytes(opus_in_ogg(packets))
    assert hear(tmp_path / "upload").seconds == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("good", [0, 1, 200])
def test_a_stream_of_damaged_packets_is_refused(tmp_path: Path, good: int) -> None:
    (tmp_path / "upload").write_bytes(opus_in_ogg([SILENT_FRAME] * good + [BROKEN_FRAME] * 2000))
    with pytest.raises(UndecodableAudio, match=r"damaged.*packets"):
        hear(tmp_path / "upload")


def damaged(path: Path, every: int, offset: int = 24_000, length: int = 40) -> Path:
    """`length` bytes in `every` are random from `offset` on."""
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(5)
    for start in range(offset, len(content) - every // 2, every):
        content[start : start + length] = noise.bytes(length)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("ts", "aac"), ("aac", "aac"), ("ogg", "libopus")]
)
def test_a_scratch_costs_its_own_length_only(tmp_path: Path, suffix: str, codec: str) -> None:
    path = damaged(write(tmp_path / f"a.{suffix}", sound(codec)), every=40_000)
    heard = hear(path)
    assert heard.seconds == pytest.approx(SECONDS, abs=0.5)
    assert heard.rms(0.2, 7.5) > 0.25


BUILDERS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "one byte": lambda: b"R",
    "ogg of empty packets": lambda: opus_in_ogg([b""] * 6000),
    "riff of nothing": lambda: b"RIFF\0\0\0\0WAVE",
    "flac marker": lambda: b"fLaC",
    "mp4 box of size 0": lambda: hand_made.box(b"ftyp", b"isom\0\0\0\0isom") + b"\0\0\0\0moov",
    "mp4 boxes in boxes": lambda: _nested(2000),
    "ebml of unknown size": lambda: b"\x1a\x45\xdf\xa3\xff" * 1000,
    "mp3 headers": lambda: b"\xff\xfb\x90\x00" * 20_000,
    "adts headers": lambda: b"\xff\xf1\x50\x80\x00\xff\xfc" * 20_000,
    "ts of null packets": lambda: (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 5000,
}


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = hand_made.box(b"moov", content)
    return hand_made.box(b"ftyp", b"isom\0\0\0\0isom") + content


@pytest.mark.parametrize("kind", BUILDERS)
def test_streams_without_progress(tmp_path: Path, kind: str) -> None:
    (tmp_path / "upload").write_bytes(BUILDERS[kind]())
    with pytest.raises((NotAudio, UndecodableAudio)):
        hear(tmp_path / "upload")


def test_two_hundred_tracks(tmp_path: Path) -> None:
    """FFmpeg stops reading at the hundredth, without an error: what it gives is a part of the sound."""
    path = write(tmp_path / "a.mkv", *[Track("libopus", tone(0.1))] * 200)
    with pytest.raises((NotAudio, UndecodableAudio)):
        hear(path)


@pytest.mark.parametrize("suffix", ["mkv", "tta"])
def test_a_recording_of_which_nothing_is_left(tmp_path: Path, suffix: str) -> None:
    """It has one or two packets, and few damaged packets are skipped as a rule."""
    path = write(tmp_path / f"a.{suffix}", Track("tta", tone(1), rate=16_000))
    path = damaged(path, every=1500, offset=1000, length=500)
    with pytest.raises((NotAudio, UndecodableAudio)):
        hear(path)


def test_forty_tracks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", *[Track("libopus", tone(1))] * 40)
    assert hear(path).seconds == pytest.approx(1, abs=0.1)


def test_a_small_file_of_a_long_recording_stops_at_the_limit(tmp_path: Path) -> None:
    """Silence of an hour is 540 kB of Opus here; what is decoded of it ends at the limit."""
    (tmp_path / "upload").write_bytes(opus_in_ogg([SILENT_FRAME] * 60_000))
    with pytest.raises(AudioTooLong, match="longer than 600 s"):
        hear(tmp_path / "upload", max_seconds=600)
