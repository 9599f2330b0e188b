"""Times are those that a player shows: late sound, holes, jumps, clocks that wrap, in containers that have times."""

import struct
from pathlib import Path

import pytest

from tests.media.files import Hole, Track, joined, tone, write
from tests.media.hearing import Heard, hear
from whisper_server.speech.errors import AudioTooLong

# Container to codecs of its sound and its picture.
TIMED = {
    "mkv": ("libopus", "mpeg4"),
    "webm": ("libopus", "libvpx"),
    "mp4": ("aac", "mpeg4"),
    "mov": ("pcm_s16le", "mpeg4"),
    "ts": ("aac", "mpeg2video"),
    "flv": ("aac", "flv"),
    "asf": ("wmav2", "wmv2"),
    "nut": ("libopus", "mpeg4"),
    "mpg": ("mp2", "mpeg2video"),
    "wtv": ("mp2", "mpeg2video"),
}

# A codec's frame and its delay, of which a few are lost.
FRAME = 0.12


def track(codec: str, seconds: float = 3, **timing: object) -> Track:
    options = {"b": "64000"} if codec.startswith("wma") else {}
    return Track(codec, tone(seconds), options=options, **timing)  # type: ignore[arg-type]


def assert_parts(heard: Heard, *parts: tuple[float, float]) -> None:
    found = heard.parts()
    assert len(found) == len(parts), found
    for part, expected in zip(found, parts, strict=True):
        assert part == pytest.approx(expected, abs=FRAME)


@pytest.mark.parametrize("late", [0.5, 4.9, 61])
@pytest.mark.parametrize("suffix", TIMED)
def test_sound_that_begins_after_the_picture(tmp_path: Path, suffix: str, late: float) -> None:
    audio, video = TIMED[suffix]
    path = write(tmp_path / f"a.{suffix}", track(audio, start=late), picture=(late + 4, video))
    assert_parts(hear(path), (late, late + 3))


@pytest.mark.parametrize("late", [0.5, 4.9])
def test_sound_that_begins_late_by_the_header_of_an_avi(tmp_path: Path, late: float) -> None:
    """FFmpeg cannot write `dwStart`, other programs do; it counts units of `dwScale` / `dwRate` seconds."""
    path = write(tmp_path / "a.avi", track("pcm_s16le", rate=16_000), picture=(late + 4, "mpeg4"))
    content = bytearray(path.read_bytes())
    header = content.index(b"strh", content.index(b"auds") - 8) + 8
    scale, rate = struct.unpack_from("<II", content, header + 20)
    struct.pack_into("<I", content, header + 28, round(late * rate / scale))
    path.write_bytes(content)
    assert_parts(hear(path), (late, late + 3))


@pytest.mark.parametrize("suffix", TIMED)
def test_a_picture_that_outlasts_the_sound(tmp_path: Path, suffix: str) -> None:
    audio, video = TIMED[suffix]
    heard = hear(write(tmp_path / f"a.{suffix}", track(audio), picture=(9, video)))
    assert_parts(heard, (0, 3))
    assert heard.seconds == pytest.approx(3, abs=FRAME)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_subtitles_that_outlast_the_sound(tmp_path: Path, suffix: str) -> None:
    heard = hear(write(tmp_path / f"a.{suffix}", track(TIMED[suffix][0]), subtitle_until=40))
    assert heard.seconds == pytest.approx(3, abs=FRAME)


@pytest.mark.parametrize("length", [0.3, 2, 90])
@pytest.mark.parametrize("suffix", TIMED)
def test_a_hole_keeps_its_length(tmp_path: Path, suffix: str, length: float) -> None:
    """`mov` stores how long each block of samples lasts, so that a hole there is only one between other blocks."""
    audio = TIMED[suffix][0] if suffix != "mov" else "aac"
    path = write(tmp_path / f"a.{suffix}", track(audio, holes=[Hole(1.5, length)]))
    assert_parts(hear(path), (0, 1.5), (1.5 + length, 3 + length))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_several_holes(tmp_path: Path, suffix: str) -> None:
    holes = [Hole(0.5, 1), Hole(1.5, 2), Hole(2.5, 0.5)]
    heard = hear(write(tmp_path / f"a.{suffix}", track(TIMED[suffix][0], holes=holes)))
    assert_parts(heard, (0, 0.5), (1.5, 2.5), (4.5, 5.5), (6, 6.5))


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
def test_a_hole_behind_a_late_start(tmp_path: Path, suffix: str) -> None:
    audio, video = TIMED[suffix]
    late = track(audio, start=2, holes=[Hole(1.5, 3)])
    heard = hear(write(tmp_path / f"a.{suffix}", late, picture=(9, video)))
    assert_parts(heard, (2, 3.5), (6.5, 8))


def test_a_hole_that_leads_beyond_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", track("libopus", holes=[Hole(1.5, 90)]))
    with pytest.raises(AudioTooLong, match="longer than 60 s"):
        hear(path, max_seconds=60)


@pytest.mark.parametrize("jump", [26.5 * 3600, 100 * 3600])
@pytest.mark.parametrize(("suffix", "options"), [("mkv", {"live": "1"}), ("ts", {}), ("nut", {})])
def test_a_jump_of_more_than_a_day_is_no_pause(
    tmp_path: Path, suffix: str, options: dict[str, str], jump: float
) -> None:
    """Joined recordings have such times, or a clock was set. Nobody waits a day; the sound follows what came before."""
    path = write(tmp_path / f"a.{suffix}", track(TIMED[suffix][0], holes=[Hole(1.5, jump)]), options=options)
    heard = hear(path)
    assert heard.rms() > 0.3
    assert heard.seconds == pytest.approx(3, abs=0.2)


def test_a_jump_that_the_header_counts_as_length(tmp_path: Path) -> None:
    """A player shows such a recording as one of a day."""
    path = write(tmp_path / "a.mkv", track("libopus", holes=[Hole(1.5, 26.5 * 3600)]))
    with pytest.raises(AudioTooLong, match="longer than 1000 s"):
        hear(path)


@pytest.mark.parametrize("jump", [-1, -1.5, -26.5 * 3600])
def test_times_that_jump_back(tmp_path: Path, jump: float) -> None:
    sound = track("aac", holes=[Hole(1.5, jump)], start=max(0, -jump))
    heard = hear(write(tmp_path / "a.ts", sound))
    assert heard.seconds == pytest.approx(3, abs=0.2)
    assert heard.rms() > 0.3


def test_a_clock_that_wraps(tmp_path: Path) -> None:
    """MPEG-TS counts 33 bits of 90 kHz: 26.5 hours; this sound begins one second before the end of that."""
    almost = 2**33 / 90_000 - 1
    path = write(tmp_path / "a.ts", track("aac", start=almost), options={"output_ts_offset": "0"})
    heard = hear(path)
    assert_parts(heard, (0, 3))
    assert heard.seconds == pytest.approx(3, abs=FRAME)


def test_a_clock_that_wraps_under_a_picture(tmp_path: Path) -> None:
    """The sound begins two seconds after the picture, when the clock has begun again."""
    almost = 2**33 / 90_000 - 1
    sound = track("aac", start=2)
    options = {"output_ts_offset": f"{almost:.3f}"}
    path = write(tmp_path / "a.ts", sound, picture=(6, "mpeg2video"), options=options)
    assert_parts(hear(path), (2, 5))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "nut"])
def test_times_below_zero(tmp_path: Path, suffix: str) -> None:
    """The sound begins a second before the picture, whose time is 0."""
    audio, video = TIMED[suffix]
    path = write(
        tmp_path / f"a.{suffix}",
        track(audio, start=-1),
        picture=(3, video),
        options={"avoid_negative_ts": "make_non_negative"},
    )
    heard = hear(path)
    assert heard.rms() > 0.3
    assert heard.seconds == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_streams_joined_by_cat(tmp_path: Path, suffix: str) -> None:
    """Their times begin again."""
    audio = TIMED[suffix][0]
    first = write(tmp_path / f"1.{suffix}", track(audio))
    second = write(tmp_path / f"2.{suffix}", Track(audio, tone(3, hertz=1000)))
    heard = hear(joined(tmp_path / f"a.{suffix}", first, second))
    assert heard.seconds == pytest.approx(6, abs=0.3)
    assert heard.hertz(1, 2) == pytest.approx(440, abs=5)
    assert heard.hertz(4, 5) == pytest.approx(1000, abs=5)
