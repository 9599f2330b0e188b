"""Streams whose format changes, files of several tracks, and sound in channels and rates out of the ordinary."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.files import SOUND_RATE, Hole, Track, joined, silence, tone, write
from tests.media.hearing import hear
from whisper_server.speech.errors import NotAudio, UndecodableAudio, UnsupportedOption

HIGH, LOW = 1000, 440
# Rate and channels of the first and the second half.
CHANGES = [
    ((44_100, 1), (22_050, 1)),
    ((16_000, 2), (48_000, 1)),
    ((48_000, 1), (48_000, 2)),
    ((24_000, 2), (32_000, 2)),
]
# Streams that stay one when they are joined by `cat`.
JOINED = {"mp3": "libmp3lame", "aac": "aac", "ac3": "ac3", "mp2": "mp2", "ts": "aac", "mpg": "mp2"}
# Ogg: a chain of links.
CHAINED = {"vorbis": (44_100, 22_050), "libopus": (48_000, 48_000), "flac": (44_100, 16_000)}


def assert_low_then_high(path: Path, seconds: float = 6) -> None:
    heard = hear(path)
    assert heard.seconds == pytest.approx(seconds, abs=0.4)
    for start, hertz in ((0.5, LOW), (seconds / 2 + 0.5, HIGH)):
        assert heard.hertz(start, start + 2) == pytest.approx(hertz, abs=10)
        assert heard.rms(start, start + 2) > 0.2


@pytest.mark.parametrize(("first", "second"), CHANGES)
@pytest.mark.parametrize("suffix", JOINED)
def test_rate_and_channels_change(tmp_path: Path, suffix: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    halves = []
    for (rate, channels), hertz in ((first, LOW), (second, HIGH)):
        if suffix == "ac3":
            rate = {44_100: 44_100, 22_050: 32_000}.get(rate, 48_000)
        track = Track(JOINED[suffix], tone(3, hertz, channels=channels), rate=rate)
        halves.append(write(tmp_path / f"{hertz}.{suffix}", track))
    assert_low_then_high(joined(tmp_path / f"a.{suffix}", *halves))


@pytest.mark.parametrize("channels", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("codec", CHAINED)
def test_a_chain(tmp_path: Path, codec: str, channels: tuple[int, int]) -> None:
    if codec == "vorbis":
        channels = (2, 2)  # FFmpeg's encoder knows stereo only
    links = [
        write(tmp_path / f"{hertz}.ogg", Track(codec, tone(3, hertz, channels=count), rate=rate))
        for count, rate, hertz in zip(channels, CHAINED[codec], (LOW, HIGH), strict=True)
    ]
    assert_low_then_high(joined(tmp_path / "a.ogg", *links))


def test_a_chain_of_different_codecs(tmp_path: Path) -> None:
    links = [
        write(tmp_path / f"{codec}.ogg", Track(codec, tone(3, hertz)))
        for codec, hertz in (("libopus", LOW), ("flac", HIGH))
    ]
    assert_low_then_high(joined(tmp_path / "a.ogg", *links))


def test_a_chain_of_many_links(tmp_path: Path) -> None:
    link = write(tmp_path / "1.ogg", Track("libopus", tone(0.5)))
    heard = hear(joined(tmp_path / "a.ogg", *[link] * 40))
    assert heard.seconds == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize("suffix", ["wav", "mkv", "mp4", "mov"])
def test_the_track_that_is_flagged_default(tmp_path: Path, suffix: str) -> None:
    codec = {"wav": "pcm_s16le"}.get(suffix, "aac")
    tracks = [Track(codec, tone(2, HIGH), default=False), Track(codec, tone(2, LOW), default=True)]
    if suffix == "wav":  # which has one track
        tracks = tracks[1:]
    assert hear(write(tmp_path / f"a.{suffix}", *tracks)).hertz(0, 2) == pytest.approx(LOW, abs=5)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts", "asf", "avi", "nut"])
def test_the_next_track_where_the_first_is_silent(tmp_path: Path, suffix: str) -> None:
    codec = {"asf": "mp2", "avi": "mp2"}.get(suffix, "aac")
    path = write(tmp_path / f"a.{suffix}", *(Track(codec, sound) for sound in (silence(2), silence(2), tone(2, LOW))))
    heard = hear(path)
    assert heard.hertz(0.2, 1.8) == pytest.approx(LOW, abs=5)
    assert heard.seconds == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_track_by_its_number(tmp_path: Path, number: int) -> None:
    pitches = (300, 600, 900)
    path = write(tmp_path / "a.mkv", *(Track("libopus", tone(2, hertz)) for hertz in pitches))
    assert hear(path, track=number).hertz(0.2, 1.8) == pytest.approx(pitches[number - 1], abs=5)


def test_a_silent_track_that_was_asked_for(tmp_path: Path) -> None:
    heard = hear(write(tmp_path / "a.mkv", Track("libopus", silence(2)), Track("libopus", tone(2))), track=1)
    assert heard.seconds == pytest.approx(2, abs=0.1)
    assert heard.rms() < 0.001


def test_a_track_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track("libopus", tone(2)))
    with pytest.raises(UnsupportedOption, match=r"no track 2.*one audio track"):
        hear(path, track=2)


def test_silence_in_all_tracks(tmp_path: Path) -> None:
    """It has no words; that is no error, and its length is that of the first track."""
    heard = hear(write(tmp_path / "a.mkv", Track("libopus", silence(2)), Track("libopus", silence(4))))
    assert heard.seconds == pytest.approx(2, abs=0.1)
    assert heard.rms() < 0.001


def test_a_first_track_of_unknown_codec(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track("aac", tone(2, HIGH)), Track("libopus", tone(2, LOW)))
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    assert hear(path).hertz(0.2, 1.8) == pytest.approx(LOW, abs=5)


def test_an_only_track_of_unknown_codec(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track("aac", tone(2)))
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    with pytest.raises((NotAudio, UndecodableAudio), match="codec is unknown"):
        hear(path)


def test_the_silent_track_lasts_longer(tmp_path: Path) -> None:
    heard = hear(write(tmp_path / "a.mkv", Track("libopus", silence(9)), Track("libopus", tone(2))))
    assert heard.seconds == pytest.approx(2, abs=0.1)
    assert heard.rms() > 0.3


def test_tracks_of_different_holes(tmp_path: Path) -> None:
    """The times of the second track are not those of the first, which was tried before it."""
    first = Track("libopus", silence(3), holes=[Hole(1, 5)])
    heard = hear(write(tmp_path / "a.mkv", first, Track("libopus", tone(3), start=1, holes=[Hole(1.5, 2)])))
    assert heard.parts() == pytest.approx(np.array([(1, 2.5), (4.5, 6)]), abs=0.1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 24, 60])
def test_channels_are_mixed_down(tmp_path: Path, channels: int) -> None:
    """Recorders of many microphones write WAV that does not say what a channel is; somebody may speak in any."""
    for speaking in range(channels) if channels <= 8 else (0, 8, channels - 1):
        sound = np.zeros((16_000, channels), dtype="<i2")
        sound[:, speaking] = 30_000 * tone(1, rate=16_000)[0]
        with wave.open(str(tmp_path / "a.wav"), "wb") as file:
            file.setparams((channels, 2, 16_000, 0, "NONE", ""))
            file.writeframes(sound.tobytes())
        heard = hear(tmp_path / "a.wav")
        assert heard.hertz(0, 1) == pytest.approx(LOW, abs=5), speaking
        assert heard.rms() > 0.004, speaking


def test_channels_in_opposite_phase(tmp_path: Path) -> None:
    """A microphone with a balanced plug in a stereo socket records such; the sum of both is silence."""
    sound = tone(2, channels=2)
    sound[1] *= -1
    heard = hear(write(tmp_path / "a.wav", Track("pcm_s16le", sound)))
    assert heard.hertz(0, 2) == pytest.approx(LOW, abs=5)
    assert heard.rms() > 0.1


PCM = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s64le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"]


@pytest.mark.parametrize("codec", PCM)
def test_sample_formats(tmp_path: Path, codec: str) -> None:
    heard = hear(write(tmp_path / "a.wav", Track(codec, tone(2))))
    assert heard.hertz(0, 2) == pytest.approx(LOW, abs=5)
    assert heard.rms() == pytest.approx(0.354, abs=0.02)


@pytest.mark.parametrize("rate", [4000, 5512, 8000, 11_025, 37_800, 64_000, 96_000, 192_000, 384_000, 768_000])
@pytest.mark.parametrize("suffix", ["wav", "aiff", "mkv"])
def test_sampling_rates(tmp_path: Path, suffix: str, rate: int) -> None:
    codec = "pcm_s16be" if suffix == "aiff" else "pcm_s16le"
    heard = hear(write(tmp_path / f"a.{suffix}", Track(codec, tone(2), rate=rate)))
    assert heard.seconds == pytest.approx(2, abs=0.03)
    assert heard.hertz(0, 2) == pytest.approx(LOW, abs=5)


@pytest.mark.parametrize("rate", [1, 100, 3999, 768_001, 2_000_000, 2**31 - 1])
def test_sampling_rates_that_no_recording_has(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.wav", Track("pcm_s16le", tone(1), rate=16_000))
    content = path.read_bytes()
    path.write_bytes(content.replace((16_000).to_bytes(4, "little"), rate.to_bytes(4, "little"), 1))
    with pytest.raises((NotAudio, UndecodableAudio), match=rf"sampling rate of {rate} Hz"):
        hear(path)


def test_sampling_rates_of_matroska_are_looked_at_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track("pcm_s16le", tone(1), rate=16_000))
    content = path.read_bytes()
    stated = b"\xb5\x88" + np.array(16_000, ">f8").tobytes()
    assert stated in content
    path.write_bytes(content.replace(stated, b"\xb5\x88" + np.array(3, ">f8").tobytes()))
    with pytest.raises((NotAudio, UndecodableAudio)):
        hear(path)


def test_every_sample_of_a_track_is_kept(tmp_path: Path) -> None:
    """The sound that is decoded is as long as the sound that was written."""
    assert SOUND_RATE == 48_000
    path = write(tmp_path / "a.wav", Track("pcm_s16le", tone(2.5), rate=48_000))
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 120_000
    assert hear(path).seconds == 2.5
