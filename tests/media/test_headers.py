"""Headers that lie, tags and covers around the sound, and what is no sound behind it."""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.media import hand_made
from tests.media.files import Track, joined, tone, write
from tests.media.hearing import hear
from whisper_server.speech.errors import NotAudio, UndecodableAudio

SECONDS = 2
PCM = (tone(SECONDS, rate=16_000)[0] * 32_767).astype("<i2").tobytes()
SIDE = 15_500
# Decoding the cover takes 720 MB.
COVER_BYTES = 400_000_000


def hear_bytes(tmp_path: Path, content: bytes) -> float:
    """Seconds of sound in a file of this content; what was heard is the tone throughout."""
    path = tmp_path / "upload"
    path.write_bytes(content)
    heard = hear(path)
    for second in range(int(heard.seconds)):
        assert heard.rms(second, second + 1) == pytest.approx(0.354, abs=0.02)
    return heard.seconds


@pytest.mark.parametrize("stated", [2, 320, 8001, 32_000, 63_000])
def test_a_data_size_of_the_first_piece(tmp_path: Path, stated: int) -> None:
    assert hear_bytes(tmp_path, hand_made.wav(PCM, data=stated)) == SECONDS


@pytest.mark.parametrize("stated", [2, 320, 32_000])
def test_both_sizes_of_the_first_piece(tmp_path: Path, stated: int) -> None:
    assert hear_bytes(tmp_path, hand_made.wav(PCM, riff=36 + stated, data=stated)) == SECONDS


@pytest.mark.parametrize("data", [0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
@pytest.mark.parametrize("riff", [0, 36, 0x7FFFFFFF, 0x80000024, 0xFFFFFFFF])
def test_sizes_of_programs_that_write_into_a_pipe(tmp_path: Path, riff: int, data: int) -> None:
    assert hear_bytes(tmp_path, hand_made.wav(PCM, riff=riff, data=data)) == SECONDS


TAGS = [
    hand_made.chunk(b"LIST", b"INFO" + hand_made.chunk(b"INAM", b"A title\0")),
    hand_made.chunk(b"id3 ", hand_made.id3((b"TIT2", b"\0A title"))),
    hand_made.chunk(b"bext", bytes(602)),
    hand_made.chunk(b"LIST", b"adtl" + bytes(200_000)),
    hand_made.chunk(b"fact", b"\0\0\0\0") + hand_made.chunk(b"cue ", bytes(28)),
]


@pytest.mark.parametrize("tag", TAGS, ids=["INFO", "id3", "bext", "long", "two"])
def test_chunks_behind_the_sound_are_no_sound(tmp_path: Path, tag: bytes) -> None:
    assert hear_bytes(tmp_path, hand_made.wav(PCM, behind=tag)) == SECONDS
    assert hear_bytes(tmp_path, hand_made.wav(PCM, riff=36 + len(PCM), behind=tag)) == SECONDS


def test_an_odd_data_size_is_padded(tmp_path: Path) -> None:
    tag = TAGS[0]
    seconds = hear_bytes(tmp_path, hand_made.wav(PCM[:-1], behind=b"\0" + tag))
    assert seconds == pytest.approx(SECONDS, abs=0.001)


def test_a_list_chunk_of_4_gigabytes(tmp_path: Path) -> None:
    """It states to be longer than the file; the sound in front of it is whole."""
    seconds = hear_bytes(tmp_path, hand_made.wav(PCM, behind=b"LIST\xff\xff\xff\xffINFO"))
    assert seconds == pytest.approx(SECONDS, abs=0.001)


def test_a_list_chunk_of_4_gigabytes_in_front(tmp_path: Path) -> None:
    content = hand_made.wav(PCM)
    with pytest.raises((NotAudio, UndecodableAudio)):
        hear_bytes(tmp_path, content[:36] + b"LIST\xff\xff\xff\xffINFO" + content[36:])


@pytest.mark.parametrize("count", [2, 3, 20])
def test_wavs_one_behind_the_other(tmp_path: Path, count: int) -> None:
    assert hear_bytes(tmp_path, hand_made.wav(PCM) * count) == count * SECONDS


def test_wavs_of_different_rates_one_behind_the_other(tmp_path: Path) -> None:
    high = (tone(SECONDS, rate=48_000)[0] * 32_767).astype("<i2").tobytes()
    assert hear_bytes(tmp_path, hand_made.wav(PCM) + hand_made.wav(high, rate=48_000)) == 2 * SECONDS


def test_zeros_behind_a_wav(tmp_path: Path) -> None:
    """A disk's blocks; they are no sound."""
    assert hear_bytes(tmp_path, hand_made.wav(PCM) + bytes(8192)) == SECONDS


@pytest.fixture(scope="module")
def cover() -> bytes:
    return hand_made.png(SIDE, SIDE)


def _cover_in_mp3(path: Path, cover: bytes) -> None:
    write(path, Track("libmp3lame", tone(SECONDS)), container="mp3")
    path.write_bytes(hand_made.id3_cover(cover) + path.read_bytes())


def _cover_in_flac(path: Path, cover: bytes) -> None:
    write(path, Track("flac", tone(SECONDS)), container="flac")
    path.write_bytes(hand_made.flac_with_cover(path.read_bytes(), cover, SIDE))


def _cover_in_m4a(path: Path, cover: bytes) -> None:
    write(path, Track("aac", tone(SECONDS)), container="ipod")
    path.write_bytes(hand_made.mp4_with_cover(path.read_bytes(), cover))


def _cover_in_ogg(path: Path, cover: bytes) -> None:
    comment = {"METADATA_BLOCK_PICTURE": hand_made.vorbis_comment_cover(cover, SIDE)}
    write(path, Track("libopus", tone(SECONDS), tags=comment), container="ogg")


def _cover_in_mkv(path: Path, cover: bytes) -> None:
    attachment = ("cover.png", "image/png", cover)
    write(path, Track("libopus", tone(SECONDS)), container="matroska", attachment=attachment)


@pytest.mark.parametrize("build", [_cover_in_mp3, _cover_in_flac, _cover_in_m4a, _cover_in_ogg, _cover_in_mkv])
def test_a_cover_is_never_decoded(tmp_path: Path, cover: bytes, build: Callable[[Path, bytes], None]) -> None:
    """A process that decodes has 256 MB, a cover takes 720: where it is decoded, nothing is heard."""
    assert len(cover) < 1_000_000
    build(tmp_path / "upload", cover)
    assert cover[:4000] in (tmp_path / "upload").read_bytes() or build is _cover_in_ogg
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    heard = hear(tmp_path / "upload")
    assert heard.seconds == pytest.approx(SECONDS, abs=0.1)
    assert heard.rms(0.2, 1.8) > 0.3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - ours < COVER_BYTES / 1024


@pytest.mark.parametrize("padding", [0, 5_000_000])
def test_a_long_tag_in_front_of_an_mp3(tmp_path: Path, padding: int) -> None:
    path = write(tmp_path / "a.mp3", Track("libmp3lame", tone(SECONDS)))
    path.write_bytes(hand_made.id3((b"TIT2", b"\0A title"), padding=padding) + path.read_bytes())
    assert hear(path).seconds == pytest.approx(SECONDS, abs=0.1)


GARBAGE = [bytes(50_000), np.random.default_rng(4).bytes(50_000), b"TAG" + bytes(125), b"<html>" * 5000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=["zeros", "random", "ID3v1", "text"])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("aac", "aac"), ("flac", "flac"), ("ogg", "libopus")]
)
def test_what_follows_the_sound(tmp_path: Path, suffix: str, codec: str, garbage: bytes) -> None:
    path = write(tmp_path / f"a.{suffix}", Track(codec, tone(SECONDS)))
    path.write_bytes(path.read_bytes() + garbage)
    heard = hear(path)
    assert heard.seconds == pytest.approx(SECONDS, abs=0.3)
    assert heard.rms(0, SECONDS) > 0.3


def test_garbage_between_two_mp3(tmp_path: Path) -> None:
    path = write(tmp_path / "1.mp3", Track("libmp3lame", tone(SECONDS), options={"write_xing": "0"}))
    (tmp_path / "noise").write_bytes(GARBAGE[1][:3000])
    heard = hear(joined(tmp_path / "a.mp3", path, tmp_path / "noise", path))
    assert heard.seconds == pytest.approx(2 * SECONDS, abs=0.3)
