"""What can be said of decoded sound without a speech model: where it is, how loud and how high."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whisper_server.speech import decoding
from whisper_server.speech.errors import AudioTooLong, NotAudio, UndecodableAudio
from whisper_server.speech.recording import SAMPLE_RATE

LIMIT_SECONDS = 1000.0
DOCUMENTED = (NotAudio, UndecodableAudio, AudioTooLong)
# A tone of level 0.5 has an RMS of 0.35; what codecs add to silence stays below 0.005.
AUDIBLE = 0.01
_STEP = SAMPLE_RATE // 50


@dataclass(frozen=True)
class Heard:
    """Mono samples at 16 kHz, with questions about them; times in seconds."""

    samples: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def rms(self, start: float = 0, end: float | None = None) -> float:
        part = self._part(start, end)
        return float(np.sqrt(np.mean(np.square(part, dtype=np.float64)))) if len(part) else 0.0

    def hertz(self, start: float, end: float) -> float:
        """The loudest frequency between two moments."""
        part = self._part(start, end)
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        return float(spectrum.argmax() * SAMPLE_RATE / len(part))

    def parts(self, shortest_pause: float = 0.1) -> list[tuple[float, float]]:
        """Where sound begins and ends, in steps of 20 ms."""
        count = len(self.samples) // _STEP
        frames = self.samples[: count * _STEP].reshape(count, _STEP)
        loud = np.flatnonzero(np.sqrt(np.mean(np.square(frames), axis=1)) > AUDIBLE)
        if not len(loud):
            return []
        breaks = np.flatnonzero(np.diff(loud) > shortest_pause * 50)
        begins, ends = [loud[0], *loud[breaks + 1]], [*loud[breaks], loud[-1]]
        return [(begin / 50, (end + 1) / 50) for begin, end in zip(begins, ends, strict=True)]

    def _part(self, start: float, end: float | None) -> NDArray[np.float32]:
        last = len(self.samples) if end is None else round(end * SAMPLE_RATE)
        return self.samples[round(start * SAMPLE_RATE) : last]


def hear(path: Path, max_seconds: float = LIMIT_SECONDS, track: int | None = None) -> Heard:
    """What `check` and then `decode`, as the servers call them, make of a file."""
    decoding.check(path, max_seconds, track)
    with decoding.decode(path, max_seconds, track) as recording:
        return Heard(recording.samples(0, recording.seconds))
