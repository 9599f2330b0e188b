"""Recordings that the tests encode themselves: codec, container, timeline, tracks and pictures as asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

Packet: TypeAlias = "av.Packet[Any]"
Sound = NDArray[np.float32]  # channels x samples, between -1 and 1
SOUND_RATE = 48_000
_MILLISECOND = Fraction(1, 1000)


def tone(seconds: float, hertz: float = 440, level: float = 0.5, channels: int = 1, rate: int = SOUND_RATE) -> Sound:
    """A sine wave, the same in every channel; its RMS is 0.71 times the level."""
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def silence(seconds: float, channels: int = 1, rate: int = SOUND_RATE) -> Sound:
    return np.zeros((channels, round(seconds * rate)), dtype=np.float32)


@dataclass(frozen=True)
class Hole:
    """Time stamps jump forward by `seconds` (backward where negative) at the moment `at` of the sound."""

    at: float
    seconds: float


@dataclass(frozen=True)
class Track:
    """One audio stream. `rate` None is the codec's own where it has one, else 48 kHz; `start` moves its time stamps."""

    codec: str
    sound: Sound
    rate: int | None = None
    start: float = 0
    holes: Sequence[Hole] = ()
    default: bool | None = None
    options: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def write(
    path: Path,
    *tracks: Track,
    container: str | None = None,
    picture: tuple[float, str] | None = None,
    subtitle_until: float | None = None,
    options: dict[str, str] | None = None,
    attachment: tuple[str, str, bytes] | None = None,
) -> Path:
    """Write `tracks` to `path`; `picture` is the seconds and the codec of a video that begins at 0."""
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        audio = [(track, _audio_stream(output, track)) for track in tracks]
        video = _video_stream(output, picture[1]) if picture else None
        subtitles = output.add_mux_stream("mov_text" if path.suffix == ".mp4" else "subrip") if subtitle_until else None
        if attachment:
            output.add_attachment(*attachment)
        output.start_encoding()
        packets = [packet for track, stream in audio for packet in _audio_packets(track, stream)]
        if video and picture:
            packets += _video_packets(video, picture[0])
        if subtitles and subtitle_until:
            packets.append(
                _subtitle_packet(subtitles, subtitle_until, b"\x00\x05words" if path.suffix == ".mp4" else b"words")
            )
        output.mux(sorted(packets, key=_moment))
    return path


def _moment(packet: Packet) -> Fraction:
    """Some encoders give no times; sorting keeps the order of their packets."""
    return Fraction(0) if packet.dts is None else packet.dts * packet.time_base


def _audio_stream(output: av.container.OutputContainer, track: Track) -> av.AudioStream:
    rates = av.codec.Codec(track.codec, "w").audio_rates
    rate = track.rate or (SOUND_RATE if not rates or SOUND_RATE in rates else max(rates))
    stream = output.add_stream(track.codec, rate=rate, options={"strict": "experimental", **track.options})
    assert isinstance(stream, av.AudioStream)
    stream.layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(len(track.sound), f"{len(track.sound)}c")
    stream.metadata.update(track.tags)
    if track.default is not None:
        stream.disposition = av.stream.Disposition.default if track.default else av.stream.Disposition(0)
    return stream


def frames(sound: Sound, stream: av.AudioStream) -> Iterator[av.AudioFrame | None]:
    """What the stream's encoder takes, from sound at SOUND_RATE; None, which flushes the encoder, is the last."""
    layout = stream.layout.name
    resampler = av.AudioResampler(
        format=stream.format, layout=layout, rate=stream.rate, frame_size=stream.codec_context.frame_size or 1024
    )
    step = SOUND_RATE // 2
    position = 0
    for first in [*range(0, sound.shape[1], step), None]:
        frame = None if first is None else _frame(sound[:, first : first + step], layout)
        for resampled in resampler.resample(frame):
            resampled.pts, resampled.time_base = position, Fraction(1, stream.rate)
            position += resampled.samples
            yield resampled
    yield None


def _frame(sound: Sound, layout: str) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
    frame.sample_rate = SOUND_RATE
    return frame


def _audio_packets(track: Track, stream: av.AudioStream) -> Iterator[Packet]:
    for frame in frames(track.sound, stream):
        for packet in stream.encode(frame):
            if track.start or track.holes:
                _move(packet, track)
            yield packet


def _move(packet: Packet, track: Track) -> None:
    assert packet.pts is not None
    at = float(packet.pts * packet.time_base)
    moved = track.start + sum(hole.seconds for hole in track.holes if at >= hole.at)
    packet.pts += round(moved / packet.time_base)
    packet.dts = packet.pts


def _video_stream(output: av.container.OutputContainer, codec: str) -> av.VideoStream:
    stream = output.add_stream(codec, rate=25)
    assert isinstance(stream, av.VideoStream)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def _video_packets(stream: av.VideoStream, seconds: float) -> Iterator[Packet]:
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    for number in range(round(seconds * 25)):
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _subtitle_packet(stream: av.stream.Stream, until: float, content: bytes) -> Packet:
    packet = av.Packet(content)
    packet.stream, packet.time_base = stream, _MILLISECOND
    packet.pts = packet.dts = 0
    packet.duration = round(until * 1000)
    return packet


def shortened(path: Path, share: float = 0.55) -> Path:
    """The first part of a file, as an upload that broke off leaves it."""
    whole = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(whole[: int(len(whole) * share)])
    return shorter


def joined(path: Path, *parts: Path) -> Path:
    """Files one after another in one, as `cat` writes them."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
