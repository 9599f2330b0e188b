"""What is right for each file of the corpus: its speech is one clip, and the loudness of each second tells where."""

from pathlib import Path

import numpy as np
import pytest

from tests.media.hearing import Heard, hear
from whisper_server.speech.errors import NotAudio, UndecodableAudio

CORPUS = Path(__file__).parent / "corpus"
CLIP_SECONDS = 7.1
# RMS of the clip's first seven seconds.
CLIP = (0.060, 0.094, 0.056, 0.063, 0.042, 0.044, 0.040)
# Quieter than this is a codec's noise, not the clip.
SILENT = 0.004


def resemblance(heard: Heard, start: float, clip: tuple[float, ...] = CLIP) -> float:
    """Correlation of the loudness from `start` on with the clip's: near 1 where it is the clip."""
    return float(
        np.corrcoef([heard.rms(start + second, start + second + 1) for second in range(len(clip))], clip)[0, 1]
    )


def assert_clip(heard: Heard, start: float, level: float = 0.03) -> None:
    assert resemblance(heard, start) > 0.95
    assert heard.rms(start, start + CLIP_SECONDS) > level


def test_every_file_has_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    recordings = [path.name for path in sorted(CORPUS.iterdir()) if path.suffix != ".md"]
    assert [name for name in recordings if f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", ["video-longer.mp4", "video-longer.webm", "subtitles-longer.mkv"])
def test_pictures_and_subtitles_that_outlast_the_sound(name: str) -> None:
    heard = hear(CORPUS / name)
    assert heard.seconds == pytest.approx(CLIP_SECONDS, abs=0.1)
    assert_clip(heard, 0)


@pytest.mark.parametrize(
    ("name", "late"), [("sound-late.mkv", 4.894), ("sound-late.mp4", 4.836), ("sound-late.ts", 4.836)]
)
def test_sound_that_begins_after_the_picture(name: str, late: float) -> None:
    heard = hear(CORPUS / name)
    assert heard.seconds == pytest.approx(late + CLIP_SECONDS, abs=0.1)
    assert heard.rms(0, late - 0.05) < SILENT
    assert_clip(heard, late)


def test_a_hole_keeps_its_length() -> None:
    heard = hear(CORPUS / "hole.webm")
    assert heard.seconds == pytest.approx(CLIP_SECONDS + 6, abs=0.1)
    assert heard.rms(3.7, 9.5) < SILENT
    closed = Heard(np.concatenate([heard.samples[: round(3.618 * 16_000)], heard.samples[round(9.619 * 16_000) :]]))
    assert_clip(closed, 0)


@pytest.mark.parametrize(
    "name",
    [
        "rate-changes.mp3",
        "rate-changes.aac",
        "channels-change.mp3",
        "rate-and-channels-change.mp3",
        "chained-mono-stereo.ogg",
        "chained-mono-stereo.opus",
    ],
)
def test_a_format_that_changes_in_the_stream(name: str) -> None:
    heard = hear(CORPUS / name)
    assert heard.seconds == pytest.approx(2 * CLIP_SECONDS, abs=0.2)
    assert_clip(heard, 0)
    assert_clip(heard, heard.seconds - CLIP_SECONDS)


def test_packets_that_players_skip() -> None:
    heard = hear(CORPUS / "dtx.amr")
    assert heard.seconds == pytest.approx(11.05, abs=0.1)
    assert all(heard.rms(second, second + 1) > 0.01 for second in range(11))


@pytest.mark.parametrize("name", ["first-track-silent.mov", "second-track-default.mkv"])
def test_the_track_that_a_player_plays(name: str) -> None:
    heard = hear(CORPUS / name)
    assert heard.seconds == pytest.approx(CLIP_SECONDS, abs=0.1)
    assert_clip(heard, 0)


def test_a_track_that_was_asked_for() -> None:
    """The first track of this file is noise of constant loudness."""
    assert_clip(hear(CORPUS / "second-track-default.mkv", track=2), 0)
    noise = hear(CORPUS / "second-track-default.mkv", track=1)
    assert [noise.rms(second, second + 1) for second in range(7)] == pytest.approx([0.088] * 7, abs=0.003)


def test_a_wav_whose_header_is_that_of_its_first_chunk() -> None:
    heard = hear(CORPUS / "header-of-first-chunk.wav")
    assert heard.seconds == pytest.approx(3.0, abs=0.01)
    assert resemblance(heard, 0, CLIP[:3]) > 0.95


def test_a_rate_of_one_hertz_is_refused() -> None:
    with pytest.raises((NotAudio, UndecodableAudio)):
        hear(CORPUS / "rate-1hz.flac")


def test_a_stream_that_begins_on_the_way() -> None:
    """Damage makes a second stream of some packets: PyAV does not know it when it flushes all streams at the end."""
    heard = hear(CORPUS / "stream-begins-later.ts")
    assert heard.seconds == pytest.approx(0.34, abs=0.02)
    assert heard.rms(0, 0.3) > 0.1
