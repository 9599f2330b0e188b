"""Any audio that FFmpeg's libraries understand, as the samples that Whisper wants."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from whisper_api.engine import NotAudio, UndecodableAudio

if TYPE_CHECKING:
    import av.container
    import numpy as np
    from numpy.typing import NDArray

# PyAV and numpy are imported where they are used: they would delay the start of the server.

SAMPLE_RATE = 16_000

# FFmpeg's names of containers whose header states the recording's length; elsewhere it is guessed from the bit rate.
_STATING_LENGTH = ("flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")

# Programs that write WAV into a pipe cannot know the size and put a number near these two limits instead.
_UNKNOWN_RIFF_SIZE = 0x7FF00000

_NOT_AUDIO = "The file is not audio of a known format, or not whole. Send mp3, wav, m4a, flac, ogg or webm."
_DAMAGED = "The audio cannot be decoded: the file is damaged. Export or record it again."


def decode(path: Path) -> "NDArray[np.float32]":
    """Mono samples at 16 kHz between -1 and 1 of a file's first audio stream; empty for a recording of 0 seconds.

    Raises NotAudio for a file that no decoder knows or that holds no sound, UndecodableAudio for a broken one
    and for one that ends before the length that its header states.
    """
    import av
    import numpy as np

    stretches: list[NDArray[np.int16]] = []
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise NotAudio("The file holds no audio.")
            for frame in _frames(container):
                # Recordings that were cut and joined have time stamps that jump; only the order counts here.
                frame.pts = None
                stretches += [resampled.to_ndarray()[0] for resampled in resampler.resample(frame)]
            stretches += [resampled.to_ndarray()[0] for resampled in resampler.resample(None)]
            stated = _stated_seconds(container, path)
    except av.error.InvalidDataError as error:
        raise NotAudio(_NOT_AUDIO) from error
    except av.error.FFmpegError as error:
        raise UndecodableAudio(_DAMAGED) from error

    samples = np.concatenate(stretches) if stretches else np.empty(0, dtype=np.int16)
    seconds = len(samples) / SAMPLE_RATE
    if stated is not None and stated - seconds > max(1.0, 0.02 * stated):
        raise UndecodableAudio(
            f"The file was cut short: its header states {stated:.1f} s, it holds {seconds:.1f} s. Send the whole file."
        )
    return samples.astype(np.float32) / 32768.0


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
