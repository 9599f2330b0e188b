"""Any audio that FFmpeg's libraries understand, as the samples that Whisper wants."""

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from whisper_api.engine import AudioTooLong, NotAudio, UndecodableAudio

if TYPE_CHECKING:
    import av.container
    import numpy as np
    from numpy.typing import NDArray

# PyAV and numpy are imported where they are used: they would delay the start of the server.

SAMPLE_RATE = 16_000
_SAMPLE_BYTES = 2

# What is transcribed at a time. As float32 five minutes are 19 MB; the spectrogram and what numpy needs to make it are
# about 150 MB more, whatever the recording's length.
_STRETCH_SECONDS = 300
# A stretch ends at the quietest moment of its last seconds, so that no word is cut.
_PAUSE_SOUGHT_SECONDS = 30
_PAUSE_SECONDS = 0.5

# FFmpeg's names of containers whose header states the recording's length; elsewhere it is guessed from the bit rate.
_STATING_LENGTH = ("flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")

# Programs that write WAV into a pipe cannot know the size and put a number near these two limits instead.
_UNKNOWN_RIFF_SIZE = 0x7FF00000

_NOT_AUDIO = "The file is not audio of a known format, or not whole. Send mp3, wav, m4a, flac, ogg or webm."
_NO_SOUND = "The file holds no audio."
_DAMAGED = "The audio cannot be decoded: the file is damaged. Export or record it again."


@dataclass(frozen=True)
class Stretch:
    """A part of a recording: where it starts, in seconds, and its mono samples at 16 kHz between -1 and 1."""

    start: float
    samples: "NDArray[np.float32]"

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


class Recording:
    """Decoded audio: mono, 16 bits, 16 kHz; in memory up to the length of a stretch (9.6 MB), above it on the disk."""

    def __init__(self) -> None:
        limit = _STRETCH_SECONDS * SAMPLE_RATE * _SAMPLE_BYTES
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=limit)  # noqa: SIM115 - closed by `close`
        self._samples = 0

    @property
    def seconds(self) -> float:
        return self._samples / SAMPLE_RATE

    def append(self, samples: "NDArray[np.int16]") -> None:
        self._file.write(samples.tobytes())
        self._samples += len(samples)

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


def check(path: Path, max_seconds: float) -> None:
    """Raises what `decode` would raise, as far as the file's first kilobytes tell."""
    with _opened(path) as container:
        next(_frames(container), None)
        stated = _stated_seconds(container, path)
        if stated is not None:
            _refuse_longer(stated, max_seconds)
        if stated is not None and container.format.name == "wav":
            _refuse_cut(stated, (container.duration or 0) / 1_000_000)


def decode(path: Path, max_seconds: float) -> Recording:
    """The sound of a file's first audio stream; of 0 seconds where the file says so.

    Raises NotAudio for a file that no decoder knows or that holds no sound, UndecodableAudio for a broken one
    and for one that ends before the length that its header states, AudioTooLong.
    """
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    recording = Recording()
    try:
        with _opened(path) as container:
            for frame in _frames(container):
                # Recordings that were cut and joined have time stamps that jump; only the order counts here.
                frame.pts = None
                for resampled in resampler.resample(frame):
                    recording.append(resampled.to_ndarray()[0])
                _refuse_longer(recording.seconds, max_seconds)
            for resampled in resampler.resample(None):
                recording.append(resampled.to_ndarray()[0])
            stated = _stated_seconds(container, path)
        if stated is not None:
            _refuse_cut(stated, recording.seconds)
    except BaseException:
        recording.close()
        raise
    return recording


@contextmanager
def _opened(path: Path) -> "Iterator[av.container.InputContainer]":
    """FFmpeg's view of a file that holds sound; what FFmpeg raises becomes NotAudio or UndecodableAudio."""
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise NotAudio(_NO_SOUND)
            yield container
    except av.error.InvalidDataError as error:
        raise NotAudio(_NOT_AUDIO) from error
    except av.error.FFmpegError as error:
        raise UndecodableAudio(_DAMAGED) from error


def _frames(container: "av.container.InputContainer") -> "Iterator[av.AudioFrame]":
    """Decoded frames; a packet that is damaged is skipped, as players do."""
    import av

    frames = container.decode(audio=0)
    while True:
        try:
            yield next(frames)
        except StopIteration:
            return
        except av.error.InvalidDataError:
            continue


def _refuse_longer(seconds: float, max_seconds: float) -> None:
    if seconds > max_seconds:
        raise AudioTooLong(f"The recording is longer than {max_seconds:g} s, the most that this server takes. Cut it.")


def _refuse_cut(stated: float, present: float) -> None:
    if stated - present > max(1.0, 0.02 * stated):
        raise UndecodableAudio(
            f"The file was cut short: its header states {stated:.1f} s, it holds {present:.1f} s. Send the whole file."
        )


def _stated_seconds(container: "av.container.InputContainer", path: Path) -> float | None:
    """The length that the file's own header states, None where it states none."""
    if not container.duration:
        return None
    seconds: float = container.duration / 1_000_000
    name = container.format.name
    if name == "wav":
        return _stated_wav_seconds(path, seconds)
    # FFmpeg takes a start time other than 0 from the Xing header, which has the number of frames too.
    if name in _STATING_LENGTH or (name == "mp3" and container.streams.audio[0].start_time):
        return seconds
    return None


def _stated_wav_seconds(path: Path, present_seconds: float) -> float | None:
    """FFmpeg takes the file's size for the length of a WAV that was cut; RIFF's own size field still knows better."""
    with path.open("rb") as file:
        magic, size = struct.unpack("<4sI", file.read(8))
        present = file.seek(0, 2)
    if magic != b"RIFF" or size >= _UNKNOWN_RIFF_SIZE:
        return None
    return present_seconds * int(size + 8) / present
