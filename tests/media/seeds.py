"""One small recording of every container and audio codec that PyAV can write together."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.codec import Codec
from av.format import ContainerFormat

from tests.media.files import SOUND_RATE, Sound, Track, tone, write

SECONDS = 1.0

# These write to a device, to the network, many files, or text about packets; the headerless ones are plain samples.
_NOT_FILES = {"alsa", "fbdev", "oss", "rtp", "rtp_mpegts", "rtsp", "sap", "video4linux2,v4l2", "whip"}
_MANY_FILES = {"dash", "hds", "hls", "image2", "segment", "smoothstreaming", "stream_segment,ssegment", "webm_chunk"}
_NO_RECORDINGS = {"crc", "data", "fifo", "framecrc", "framehash", "framemd5", "hash", "md5", "mkvtimestamp_v2", "null"}
_NO_RECORDINGS |= {"rawvideo", "streamhash", "tee", "uncodedframecrc", "webm_dash_manifest"}
_SKIPPED = _NOT_FILES | _MANY_FILES | _NO_RECORDINGS
# Other encoders of the same stream.
_SAME_STREAM = {"ac3_fixed", "anull", "mp2fixed", "mp3", "opus"}

# What containers and codecs insist on, from the most usual to the least.
_SHAPES = ((16_000, 1), (48_000, 2), (8_000, 1), (44_100, 1), (96_000, 6))
_BIT_RATES = {"g723_1": "6300", "wmav1": "64000", "wmav2": "64000"}


def _writable(names: "set[str]", kind: type[Codec] | type[ContainerFormat]) -> Iterator[str]:
    for name in sorted(names):
        try:
            found = kind(name, "w")
        except (ValueError, av.error.FFmpegError):
            continue
        if isinstance(found, ContainerFormat) or found.type == "audio":
            yield name


@cache
def _sound(channels: int) -> Sound:
    """A tone with noise: lossless codecs would leave next to nothing to mutate of a pure tone."""
    noise = np.random.default_rng(1).normal(0, 0.02, (channels, round(SECONDS * SOUND_RATE)))
    return tone(SECONDS, channels=channels) + noise.astype(np.float32)


def _written(folder: Path, container: str, codec: str) -> Iterator[Path]:
    """Two files of different rate and channels, one where the codec is plain samples; none if no shape will do."""
    known = Codec(codec, "w").audio_rates
    options = {"b": _BIT_RATES[codec]} if codec in _BIT_RATES else {}
    left = 1 if codec.startswith("pcm_") else 2
    for rate, channels in _SHAPES:
        path = folder / f"{container}-{rate}-{channels}.{codec}"
        if not left or (known and rate not in known):
            continue
        try:
            write(path, Track(codec, _sound(channels), rate=rate, options=options), container=container)
        except (av.error.FFmpegError, ValueError, OSError):
            path.unlink(missing_ok=True)
            continue
        if not _decodable(path):
            path.unlink()
            return
        left -= 1
        yield path


def _decodable(path: Path) -> bool:
    """MPEG-TS, for one, takes streams of every codec, though it can name few to a demuxer."""
    try:
        with av.open(str(path)) as container:
            return next(iter(container.decode(audio=0)), None) is not None
    except (av.error.FFmpegError, IndexError):
        return False


def write_seeds(folder: Path) -> list[Path]:
    """Files named `container-rate-channels.codec`, some hundreds of them."""
    codecs = [codec for codec in _writable(av.codecs_available, Codec) if codec not in _SAME_STREAM]
    containers = [name for name in _writable(av.formats_available, ContainerFormat) if name not in _SKIPPED]
    return [path for container in containers for codec in codecs for path in _written(folder, container, codec)]
