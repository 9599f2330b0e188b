"""Converts decoded frames of any rate and layout to mono samples, 16 bits, 16 kHz, at their times."""

import array
import os
from collections.abc import Callable

import av
import av.filter
from av import AudioFrame, AudioResampler

from whisper_server.speech.errors import AudioTooLong, UndecodableAudio

SAMPLE_RATE = 16_000
SAMPLE_BYTES = 2

# Rates below telephony's and above studios' are broken headers. At 1 Hz each sample would become 16,000.
_RATES = range(4000, 768_001)
# The limit of FFmpeg's resampler.
_MOST_CHANNELS = 64
_STEREO = 2

# Timestamps of phones and browsers are less inaccurate; a larger gap, in seconds, is a pause or lost data.
_GAP_SECONDS = 0.1
# A longer gap is a broken timestamp, unless the file's duration covers it.
_LONGEST_GAP_SECONDS = 3600.0
# About -60 dBFS: the noise of a muted microphone and of an encoder's rounding.
_AUDIBLE = 33
_BUFFER_BYTES = 256 * 1024
_REPORT_SECONDS = 30.0


class MonoSound:
    """Writes consecutive frames to a file, with silence in the gaps between their times.

    `reached` receives the length in seconds, every half minute of audio. Channels are mixed, unless `first_channel`.
    `audible` is whether any sample was above -60 dBFS. Raises AudioTooLong, UndecodableAudio for implausible frames,
    OSError if the file cannot be written.
    """

    def __init__(
        self, target: int, max_seconds: float, reached: Callable[[float], None], first_channel: bool = False
    ) -> None:
        os.ftruncate(target, 0)
        self.seconds = 0.0
        self.audible = False
        self.channels = 0
        self._first_channel = first_channel
        self._target = target
        self._max_seconds = max_seconds
        self._reached = reached
        self._reported = 0.0
        self._shift = 0.0
        self._end = 0.0
        self._buffer = bytearray()
        self._bytes = 0
        self._kind: tuple[str, str, int] | None = None
        self._mixer: _Mixer | None = None

    def begin(self, end: float) -> None:
        """Starts a file, or a part of one, at time 0; according to its header it ends at `end`."""
        self._shift = self.seconds
        self._end = end

    def add(self, frame: AudioFrame, time: float | None) -> None:
        """Adds a frame; `time` is in seconds from the start of its file, None for the end of the previous frame."""
        refuse_implausible(frame.sample_rate, frame.layout.nb_channels)
        self.channels = max(self.channels, frame.layout.nb_channels)
        if time is not None:
            self._go_to(time)
        length = frame.samples / frame.sample_rate
        self._refuse_longer(self.seconds + length)
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._mixer is None or kind != self._kind:
            self._drain()
            self._mixer, self._kind = _Mixer(frame, self._first_channel), kind
        self._write(self._mixer.mix(frame))
        self.seconds += length
        if self.seconds - self._reported >= _REPORT_SECONDS:
            self._reported = self.seconds
            self._reached(self.seconds)

    def close(self) -> None:
        """Writes buffered samples."""
        self._drain()
        self._flush()

    def _go_to(self, time: float) -> None:
        gap = time + self._shift - self.seconds
        if abs(gap) <= _GAP_SECONDS:
            return
        if gap < 0 or (gap > _LONGEST_GAP_SECONDS and time > self._end):
            # The times of concatenated recordings restart: only the order counts.
            self._shift -= gap
            return
        self._refuse_longer(self.seconds + gap)
        self._drain()
        self._flush()
        self.seconds += gap
        self._bytes = round(self.seconds * SAMPLE_RATE) * SAMPLE_BYTES
        os.ftruncate(self._target, self._bytes)

    def _refuse_longer(self, seconds: float) -> None:
        refuse_longer(seconds, self._max_seconds)

    def _drain(self) -> None:
        if self._mixer is not None:
            self._write(self._mixer.mix(None))
        self._mixer = None

    def _write(self, samples: bytes) -> None:
        self._buffer += samples
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self.audible:
            self.audible = _is_audible(self._buffer)
        with memoryview(self._buffer) as left:
            written = 0
            while written < len(left):
                written += os.pwrite(self._target, left[written:], self._bytes + written)
        self._bytes += len(self._buffer)
        self._buffer.clear()


class _Mixer:
    """Converts frames of one format to mono samples."""

    def __init__(self, frame: AudioFrame, first_channel: bool) -> None:
        self._resampler: AudioResampler | None = None
        self._graph: av.filter.Graph | None = None
        channels = frame.layout.nb_channels
        if first_channel and channels > 1:
            self._graph = _mixed(frame, "c0")
        elif channels > _STEREO and frame.layout.name == f"{channels} channels":
            # The channels are unnamed: FFmpeg cannot mix them, or takes one for a subwoofer.
            self._graph = _mixed(frame, "+".join(f"{1 / channels:.6f}*c{n}" for n in range(channels)))
        else:
            self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def mix(self, frame: AudioFrame | None) -> bytes:
        """The samples that are ready; None flushes the rest."""
        if frame is not None:
            frame.pts = None
        if self._resampler is not None:
            return b"".join(_samples(mixed) for mixed in self._resampler.resample(frame))
        assert self._graph is not None  # noqa: S101 - one of the two is there
        self._graph.push(frame)
        mixed = b""
        while True:
            try:
                mixed += _samples(self._graph.pull())  # type: ignore[arg-type]  # it could give pictures, too
            except (av.error.BlockingIOError, av.error.EOFError):
                return mixed


def _mixed(frame: AudioFrame, mix: str) -> av.filter.Graph:
    """A filter graph that mixes channels by a sum in the syntax of FFmpeg's filter `pan`."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=frame.time_base,
    )
    mean = graph.add("pan", f"mono|c0={mix}")
    mono = graph.add("aformat", f"sample_fmts=s16:sample_rates={SAMPLE_RATE}:channel_layouts=mono")
    sink = graph.add("abuffersink")
    source.link_to(mean)
    mean.link_to(mono)
    mono.link_to(sink)
    graph.configure()
    return graph


def _samples(frame: AudioFrame) -> bytes:
    # A plane may be longer than its samples.
    return bytes(memoryview(frame.planes[0])[: frame.samples * SAMPLE_BYTES])


def _is_audible(samples: bytearray) -> bool:
    if samples.count(0) == len(samples):
        return False
    values = array.array("h", bytes(samples))
    return max(values) > _AUDIBLE or min(values) < -_AUDIBLE


def refuse_longer(seconds: float, max_seconds: float) -> None:
    """Raises AudioTooLong for a recording, or what is known of it, that is longer than the limit; both in seconds."""
    if seconds > max_seconds:
        raise AudioTooLong(f"The recording is longer than {max_seconds:g} s, the limit of this server. Split it.")


def refuse_implausible(rate: int, channels: int) -> None:
    """Raises UndecodableAudio for a sampling rate, in Hz, or a number of channels that no recording has."""
    if rate not in _RATES:
        raise UndecodableAudio(
            f"The file states a sampling rate of {rate} Hz. Send a recording between {_RATES[0]} and {_RATES[-1]} Hz."
        )
    if channels > _MOST_CHANNELS:
        raise UndecodableAudio(f"The file has {channels} channels. Send a recording of at most {_MOST_CHANNELS}.")
