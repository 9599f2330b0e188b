"""Decoding with FFmpeg's libraries, of files that the test itself encodes."""

import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from whisper_server.speech import decoding
from whisper_server.speech.errors import AudioTooLong, NotAudio, UndecodableAudio
from whisper_server.speech.recording import SAMPLE_RATE, Recording

SECONDS = 6
CODECS = {"mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "m4a": "aac", "webm": "libopus", "wav": "pcm_s16le"}


def tone() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """440 Hz with noise, which keeps codecs from making silence of it."""
    time = np.arange(SECONDS * 48_000) / 48_000
    noise = np.random.default_rng(1).normal(0, 0.1, len(time))
    return ((0.5 * np.sin(2 * np.pi * 440 * time) + noise) * 20_000).astype(np.int16)


def encode(path: Path, codec: str, **options: str) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=48_000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone().reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=48_000, frame_size=stream.frame_size or 0
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def cut(path: Path) -> Path:
    whole = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(whole[: len(whole) * 55 // 100])
    return shorter


def decoded(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with decoding.decode(path, max_seconds=1000) as recording:
        stretches = [stretch.samples for stretch in recording.stretches()]
        return np.concatenate(stretches) if stretches else np.empty(0, dtype=np.float32)


@pytest.mark.parametrize(("suffix", "codec"), CODECS.items())
def test_formats(tmp_path: Path, suffix: str, codec: str) -> None:
    path = encode(tmp_path / f"a.{suffix}", codec)
    decoding.check(path, max_seconds=1000)
    samples = decoded(path)
    assert samples.dtype == np.float32
    assert len(samples) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.1)
    assert 0.3 < np.abs(samples).max() <= 1


@pytest.mark.parametrize("suffix", ["mp3", "flac", "webm", "wav"])
def test_a_file_that_was_cut_short_is_not_taken_for_whole(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UndecodableAudio, match=r"header states 6\.0 s"):
        decoded(cut(encode(tmp_path / f"a.{suffix}", CODECS[suffix])))


def test_an_mp3_whose_header_states_nothing_is_decoded_as_far_as_it_goes(tmp_path: Path) -> None:
    samples = decoded(cut(encode(tmp_path / "a.mp3", "libmp3lame", write_xing="0")))
    assert len(samples) / SAMPLE_RATE == pytest.approx(SECONDS * 0.55, abs=0.2)


def test_a_wav_written_into_a_pipe_has_no_stated_size(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "pcm_s16le")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff\xff\xff\xff" + content[8:])
    assert len(decoded(path)) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.1)


def test_a_recording_of_no_samples_is_empty(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
    assert len(decoded(tmp_path / "a.wav")) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"This is text.\n" * 500,
        b"PK\x03\x04" + bytes(5000),
        np.random.default_rng(2).bytes(100_000),
        b"RIFF",
        b"\xff\xfb" * 10,
        bytes(100_000),
    ],
    ids=["text", "zip", "random", "four bytes", "mp3 sync only", "zeros"],
)
def test_what_is_no_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "upload"  # uploads have no suffix that FFmpeg could believe
    path.write_bytes(content)
    with pytest.raises((NotAudio, UndecodableAudio)):
        decoded(path)


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(NotAudio, match="no audio"):
        decoded(path)


@pytest.mark.parametrize("suffix", ["flac", "wav", "m4a", "webm", "mp3"])
def test_a_header_that_states_too_much_is_enough_to_refuse(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(AudioTooLong, match=r"longer than 5 s"):
        decoding.check(encode(tmp_path / f"a.{suffix}", CODECS[suffix]), max_seconds=5)


def test_a_recording_is_decoded_no_further_than_the_limit(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", "libmp3lame", write_xing="0")
    decoding.check(path, max_seconds=5)
    with pytest.raises(AudioTooLong):
        decoding.decode(path, max_seconds=5)


def test_a_wav_that_was_cut_is_found_without_decoding_it(tmp_path: Path) -> None:
    with pytest.raises(UndecodableAudio, match="cut short"):
        decoding.check(cut(encode(tmp_path / "a.wav", "pcm_s16le")), max_seconds=1000)


def test_a_long_recording_comes_in_stretches_that_are_cut_in_pauses() -> None:
    """Eleven minutes of noise with half a second of silence every 25 s."""
    second = np.random.default_rng(3).integers(-9000, 9000, SAMPLE_RATE, dtype=np.int16)
    with Recording() as recording:
        for number in range(660):
            pause = np.zeros(SAMPLE_RATE // 2, dtype=np.int16)
            half = second[: SAMPLE_RATE // 2]
            recording.append(np.concatenate([half, pause if number % 25 == 24 else half]))
        stretches = list(recording.stretches())
        assert recording.seconds == sum(stretch.seconds for stretch in stretches) == 660
    assert [stretch.start for stretch in stretches] == pytest.approx([0, 299.75, 574.75], abs=0.1)
    assert all(stretch.seconds <= 300 for stretch in stretches)
    joined = np.concatenate([stretch.samples for stretch in stretches])
    assert len(joined) == 660 * SAMPLE_RATE


def test_memory_does_not_grow_with_the_recording() -> None:
    """What would be 230 MB an hour as float32 lies on the disk, and comes back 19 MB at a time."""
    quiet = np.zeros(60 * SAMPLE_RATE, dtype=np.int16)
    with Recording() as recording:
        for _ in range(60):
            recording.append(quiet)
        tracemalloc.start()
        seconds = sum(stretch.seconds for stretch in recording.stretches())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seconds == 3600
    assert peak < 100_000_000
