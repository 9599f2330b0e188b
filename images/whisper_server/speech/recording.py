"""A decoded recording: the samples that Whisper expects."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
_SAMPLE_BYTES = 2

# Length of the parts that are transcribed separately. Five minutes are 19 MB as float32; the spectrogram and the arrays
# that numpy needs to compute it take about 150 MB more, whatever the recording's length.
_STRETCH_SECONDS = 300
# A stretch ends at the quietest moment of its last seconds, so that no word is cut.
_PAUSE_SOUGHT_SECONDS = 30
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Stretch:
    """A part of a recording: where it starts, in seconds, and its mono samples at 16 kHz, from -1 to 1."""

    start: float
    samples: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


class Recording:
    """Decoded audio: mono, 16 bits, 16 kHz, in a file without a name on the data volume; 115 MB an hour."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`

    @property
    def _samples(self) -> int:
        return os.fstat(self.descriptor).st_size // _SAMPLE_BYTES

    @property
    def descriptor(self) -> int:
        """The open file with the samples."""
        return self._file.fileno()

    @property
    def seconds(self) -> float:
        """Its length."""
        return self._samples / SAMPLE_RATE

    def append(self, samples: NDArray[np.int16]) -> None:
        """Adds mono samples at 16 kHz, of shape (samples,). Raises OSError if the disk is full."""
        self._file.write(samples.tobytes())

    def stretches(self) -> Iterator[Stretch]:
        """The recording in parts of at most five minutes, in their order; none for a recording of 0 seconds."""
        position = 0
        while position < self._samples:
            self._file.seek(position * _SAMPLE_BYTES)
            content = self._file.read(_STRETCH_SECONDS * SAMPLE_RATE * _SAMPLE_BYTES)
            samples = np.frombuffer(content, dtype=np.int16)
            if position + len(samples) < self._samples:
                samples = samples[: _quietest(samples)]
            yield Stretch(position / SAMPLE_RATE, samples.astype(np.float32) / 32768.0)
            position += len(samples)

    def samples(self, start: float, end: float) -> NDArray[np.float32]:
        """The mono samples at 16 kHz between two times in seconds, of shape (samples,) and between -1 and 1."""
        first, last = (min(self._samples, max(0, round(moment * SAMPLE_RATE))) for moment in (start, end))
        self._file.seek(first * _SAMPLE_BYTES)
        content = self._file.read(max(0, last - first) * _SAMPLE_BYTES)
        return np.frombuffer(content, dtype=np.int16).astype(np.float32) / np.float32(32768)

    def close(self) -> None:
        """Deletes the samples."""
        self._file.close()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _quietest(samples: NDArray[np.int16]) -> int:
    """Index of the middle of the quietest half second within the last 30 s; of equally quiet ones, the latest."""
    frame = SAMPLE_RATE // 20
    tail = samples[-_PAUSE_SOUGHT_SECONDS * SAMPLE_RATE :]
    energy = np.square(tail[: len(tail) // frame * frame].astype(np.float32)).reshape(-1, frame).sum(axis=1)
    frames = int(_PAUSE_SECONDS * SAMPLE_RATE) // frame
    pauses = np.convolve(energy, np.ones(frames), mode="valid")
    last = len(pauses) - 1 - int(pauses[::-1].argmin())
    return len(samples) - len(tail) + (last + frames // 2) * frame
