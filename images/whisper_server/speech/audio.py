"""A recording as the samples that Whisper wants, made from any file that FFmpeg's libraries understand."""

import errno
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from whisper_server.speech.decoder_process import PROCESSES, DecoderDied
from whisper_server.speech.engine import (
    AudioTooLong,
    EngineError,
    NoSpace,
    NotAudio,
    Reached,
    UndecodableAudio,
    UnsupportedOption,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# numpy is imported where it is used: it would delay the start of the server.

SAMPLE_RATE = 16_000
_SAMPLE_BYTES = 2

# What is transcribed at a time. As float32 five minutes are 19 MB; the spectrogram and what numpy needs to make it are
# about 150 MB more, whatever the recording's length.
_STRETCH_SECONDS = 300
# A stretch ends at the quietest moment of its last seconds, so that no word is cut.
_PAUSE_SOUGHT_SECONDS = 30
_PAUSE_SECONDS = 0.5

_logger = logging.getLogger("whisper_server")

_DECODER_DIED = (
    "The audio cannot be decoded: its decoder failed, or took more time than any recording needs. Convert the file to "
    "mp3, wav or flac."
)


@dataclass(frozen=True)
class Stretch:
    """A part of a recording: where it starts, in seconds, and its mono samples at 16 kHz between -1 and 1."""

    start: float
    samples: "NDArray[np.float32]"

    @property
    def seconds(self) -> float:
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
        return self._samples / SAMPLE_RATE

    def append(self, samples: "NDArray[np.int16]") -> None:
        self._file.write(samples.tobytes())

    def stretches(self) -> Iterator[Stretch]:
        """The recording in parts of at most five minutes, in their order; none for a recording of 0 seconds."""
        import numpy as np

        position = 0
        while position < self._samples:
            self._file.seek(position * _SAMPLE_BYTES)
            content = self._file.read(_STRETCH_SECONDS * SAMPLE_RATE * _SAMPLE_BYTES)
            samples = np.frombuffer(content, dtype=np.int16)
            if position + len(samples) < self._samples:
                samples = samples[: _quietest(samples)]
            yield Stretch(position / SAMPLE_RATE, samples.astype(np.float32) / 32768.0)
            position += len(samples)

    def samples(self, start: float, end: float) -> "NDArray[np.float32]":
        """The mono samples at 16 kHz between two moments, in seconds: 64 kB a second."""
        import numpy as np

        first, last = (min(self._samples, max(0, round(moment * SAMPLE_RATE))) for moment in (start, end))
        self._file.seek(first * _SAMPLE_BYTES)
        content = self._file.read(max(0, last - first) * _SAMPLE_BYTES)
        return np.frombuffer(content, dtype=np.int16).astype(np.float32) / np.float32(32768)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _quietest(samples: "NDArray[np.int16]") -> int:
    """Index of the middle of the half second with the least energy among the last thirty, the last of them."""
    import numpy as np

    frame = SAMPLE_RATE // 20
    tail = samples[-_PAUSE_SOUGHT_SECONDS * SAMPLE_RATE :]
    energy = np.square(tail[: len(tail) // frame * frame].astype(np.float32)).reshape(-1, frame).sum(axis=1)
    frames = int(_PAUSE_SECONDS * SAMPLE_RATE) // frame
    pauses = np.convolve(energy, np.ones(frames), mode="valid")
    last = len(pauses) - 1 - int(pauses[::-1].argmin())
    return len(samples) - len(tail) + (last + frames // 2) * frame


def check(path: Path, max_seconds: float, track: int | None = None) -> None:
    """Raises what `decode` would raise, as far as the start of the file tells."""
    with path.open("rb") as source:
        _in_a_process([source.fileno()], max_seconds, track)


def decode(path: Path, max_seconds: float, track: int | None = None, reached: Reached = lambda *_: None) -> Recording:
    """The sound of a file at the times that a player shows; of 0 seconds where the file says so.

    `track` is the number of an audio track, from 1; None is the one that a player would play, or the next one where
    that cannot be decoded or is silent. `reached` is told the share of the file that was read, at least twice a second;
    what it raises ends the work. The share begins again with another track.

    Raises NotAudio for a file that no decoder knows or that holds no sound, UndecodableAudio for a broken one and for
    one that ends before the length that its header states, AudioTooLong, UnsupportedOption, NoSpace.
    """
    recording = Recording()
    try:
        with path.open("rb") as source:
            _in_a_process([source.fileno(), recording.descriptor], max_seconds, track, reached)
    except BaseException:
        recording.close()
        raise
    return recording


def _in_a_process(
    descriptors: list[int], max_seconds: float, track: int | None, reached: Reached = lambda *_: None
) -> None:
    try:
        answer = PROCESSES.run(
            {"max_seconds": max_seconds, "track": track}, descriptors, lambda share: reached("decoding", share)
        )
    except DecoderDied as error:
        raise UndecodableAudio(_DECODER_DIED) from error
    if "error" in answer:
        raise _engine_error(answer)
    if answer.get("errno") in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise NoSpace("The server has no disk space left for this recording. Try again later.", param="file")
    if answer:
        _logger.error("a file cannot be decoded: %s", answer.get("traceback", answer))
        raise UndecodableAudio(_DECODER_DIED)


def _engine_error(answer: dict[str, Any]) -> EngineError:
    if answer["error"] == UnsupportedOption.__name__:
        return UnsupportedOption(answer["param"], answer["message"])
    kinds = {kind.__name__: kind for kind in (NotAudio, AudioTooLong)}
    return kinds.get(answer["error"], UndecodableAudio)(answer["message"])
