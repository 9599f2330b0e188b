"""Decodes a file with FFmpeg's libraries: chooses the track, skips damaged packets, and detects truncated files.

This runs in a confined process, see `decoder_process`: it reads and writes two open file descriptors and opens nothing.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import cast

import av
import av.container
from av import AudioFrame, AudioStream, CodecContext, Packet
from av.audio.codeccontext import AudioCodecContext
from av.stream import Discard, Disposition

from whisper_server.speech.errors import NotAudio, UndecodableAudio, UnsupportedOption
from whisper_server.speech.file_parts import (
    FileView,
    Part,
    parts_of,
    stated_asf_seconds,
    stated_mp3_frames,
    stated_wav_share,
)
from whisper_server.speech.mono_sound import MonoSound, refuse_implausible, refuse_longer

# Those of FFmpeg's 370 formats that are recordings. The others include lists of files, playlists with URLs, devices and
# images.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,asf_o,au,avi,caf,dsf,dss,dts,dtshd,eac3,flac,flv,iff,ircam,live_flv,loas,matroska,mlp,mov,"
    "mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,rm,shn,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
# Formats with timestamps, which players show. For the others FFmpeg computes times from sizes, which is wrong after a
# change of the sampling rate.
_TIMED = frozenset(
    (
        "amr",
        "asf",
        "avi",
        "flv",
        "matroska,webm",
        "mov,mp4,m4a,3gp,3g2,mj2",
        "mpeg",
        "mpegts",
        "mxf",
        "nut",
        "ogg",
        "wtv",
    )
)
# Formats whose header contains the duration; for the others FFmpeg estimates it from the bit rate.
_STATING_LENGTH = frozenset(("aiff", "au", "flac", "tta", "wv"))
# Formats whose header contains the number of samples or packets; FFmpeg's duration is that of the data it finds.
_STATING_FRAMES = frozenset(("avi", "caf"))

# FFmpeg's own decoders reject AMR's comfort noise, which phones send in pauses.
_BETTER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}

# Like players, this skips packets that cannot be decoded, up to a quarter of them.
_MOST_DAMAGED = 0.25
_FEW_PACKETS = 2
_MOST_PACKETS_WITHOUT_SOUND = 5000
_MOST_DAMAGED_PARTS = 100
_MOST_STREAMS = 100

_NOT_AUDIO = "The file is not in a known audio format, or is incomplete. Send mp3, wav, m4a, flac, ogg or webm."
_NO_SOUND = "The file contains no audio."
_DAMAGED = "The audio cannot be decoded: the file is damaged. Export or record it again."
_UNKNOWN_CODEC = "The audio's codec is unknown here. Convert the file to mp3, wav, m4a, flac, ogg or webm."


def _audio_decoders() -> Iterator[str]:
    for name in sorted(av.codecs_available):
        try:
            if av.Codec(name, "r").type == "audio":
                yield name
        except ValueError:
            continue  # an encoder's name


_OPTIONS = {
    "format_whitelist": _FORMATS,
    # No image decoders: FFmpeg would decode cover art of any size while it probes the streams.
    "codec_whitelist": ",".join(_audio_decoders()),
    # The file is already open. An empty list would mean all protocols.
    "protocol_whitelist": "none",
    "max_streams": str(_MOST_STREAMS),
}


def check(source: int, max_seconds: float, track: int | None) -> None:
    """Raises what `decode` would raise, as far as the start of the file shows."""
    part = parts_of(FileView(source))[0]
    failures: list[UndecodableAudio] = []
    for container, ordinal in _tracks(part, track):
        try:
            with _damage_reported():
                _check_track(part, container, ordinal, max_seconds)
        except UndecodableAudio as failure:
            failures.append(failure)
        else:
            return
    raise failures[0]


def _check_track(part: Part, container: "av.container.InputContainer", ordinal: int, max_seconds: float) -> None:
    stream = container.streams.audio[ordinal]
    # Before the duration, which is computed from the rate; 0 if only packets contain it.
    if stream.codec_context.sample_rate:
        refuse_implausible(stream.codec_context.sample_rate, stream.codec_context.channels)
    if (stated := _stated_end(part, container, stream)) is not None:
        refuse_longer(stated, max_seconds)
        if container.format.name == "wav":
            _refuse_truncated(stated, (container.duration or 0) / av.time_base)
    with closing(_frames(container, stream)) as frames:
        if (first := next(frames, None)) is not None:
            refuse_implausible(first.sample_rate, first.layout.nb_channels)


def decode(
    source: int, target: int, max_seconds: float, track: int | None, reached: Callable[[float, float], None]
) -> None:
    """Decodes an open file into another one: mono, 16 bits, 16 kHz, at the times that a player shows.

    `track` is the number of an audio track, from 1; None is the one that a player would play, or the next one where
    that cannot be decoded or is silent. `reached` receives the decoded length in seconds and the share of the file that
    was read.

    Raises NotAudio for unknown formats and files without audio; UndecodableAudio for damaged files and those that end
    before the length in their header; AudioTooLong; UnsupportedOption for a missing track; OSError if the target cannot
    be written.
    """
    parts = parts_of(FileView(source))
    failures: list[UndecodableAudio] = []
    silent: list[int] = []

    def report(seconds: float) -> None:
        reached(seconds, sum(part.view.tell() for part in parts) / sum(part.view.size for part in parts))

    for container, ordinal in _tracks(parts[0], track):
        sound = MonoSound(target, max_seconds, report)
        try:
            _decode_track(parts, container, ordinal, sound)
        except UndecodableAudio as failure:
            failures.append(failure)
            continue
        if not sound.audible and sound.channels > 1:
            # Channels in opposite phase, as from a balanced microphone on a stereo input, cancel each other in the mix.
            sound = MonoSound(target, max_seconds, report, first_channel=True)
            with _opened(parts[0]) as again:
                _decode_track(parts, again, ordinal, sound)
        if sound.audible:
            return
        silent.append(ordinal)
    if not silent:
        raise failures[0]
    if silent[-1] != silent[0] or failures:
        with _opened(parts[0]) as container:
            _decode_track(parts, container, silent[0], MonoSound(target, max_seconds, report))


def _decode_track(parts: list[Part], container: "av.container.InputContainer", ordinal: int, sound: MonoSound) -> None:
    """Decodes one track of a file whose first part is open."""
    with _damage_reported():
        _decode_part(parts[0], container, ordinal, sound)
        for part in parts[1:]:
            with _opened(part) as following:
                _decode_part(part, following, ordinal, sound)
        sound.close()


def _decode_part(part: Part, container: "av.container.InputContainer", ordinal: int, sound: MonoSound) -> None:
    # Later parts of a file may have fewer tracks than the first.
    stream = container.streams.audio[min(ordinal, len(container.streams.audio) - 1)]
    stated = _stated_end(part, container, stream)
    start = sound.seconds
    sound.begin(stated or 0.0)
    for frame in _frames(container, stream):
        sound.add(frame, _time(container, frame))
    if stated is not None:
        _refuse_truncated(stated, sound.seconds - start)


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Turns FFmpeg's exceptions while reading and decoding into UndecodableAudio."""
    try:
        yield
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise UndecodableAudio(_DAMAGED) from error


@contextmanager
def _opened(part: Part) -> "Iterator[av.container.InputContainer]":
    """Opens a file with audio; turns FFmpeg's exceptions into NotAudio."""
    part.view.seek(0)
    try:
        container = av.open(part.view, "r", metadata_errors="ignore", container_options={**_OPTIONS, **part.options})
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise NotAudio(_NOT_AUDIO) from error
    with container:
        if not container.streams.audio:
            raise NotAudio(_NO_SOUND)
        if len(container.streams) >= _MOST_STREAMS:
            # FFmpeg stops reading without an exception.
            raise UndecodableAudio(f"The file has {_MOST_STREAMS} tracks or more. Export only the audio.")
        yield container


def _tracks(part: Part, track: int | None) -> "Iterator[tuple[av.container.InputContainer, int]]":
    """The open file and the position of an audio track, for each track to try, the one that a player would play first.

    Raises UnsupportedOption, UndecodableAudio if there is no track to try.
    """
    with _opened(part) as container:
        order = _in_order(container, track)
        yield container, order[0]
    for ordinal in order[1:]:
        with _opened(part) as container:
            yield container, ordinal


def _in_order(container: "av.container.InputContainer", track: int | None) -> list[int]:
    streams = container.streams.audio
    if track is not None and track > len(streams):
        number = f"{len(streams)} audio tracks" if len(streams) > 1 else "one audio track"
        raise UnsupportedOption("track", f"There is no track {track}: the file has {number}. The first one is 1.")
    wanted = range(len(streams)) if track is None else [track - 1]
    decodable = [ordinal for ordinal in wanted if streams[ordinal].codec_context is not None]
    if not decodable:
        raise UndecodableAudio(_UNKNOWN_CODEC)
    return sorted(decodable, key=lambda ordinal: not streams[ordinal].disposition & Disposition.default)


def _frames(container: "av.container.InputContainer", stream: AudioStream) -> Generator[AudioFrame, None, None]:
    """Decoded frames of a track. Raises UndecodableAudio if more is damaged than a player would skip."""
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    decoder = _decoder(stream)
    packets = damaged = since_sound = decoded = 0
    for packet in _packets(container, stream):
        # The last packet is empty: it flushes the decoder.
        packets += packet.size > 0
        since_sound += 1
        frames: list[AudioFrame] = []
        try:
            frames = decoder.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            damaged += 1
        decoded += len(frames)
        if frames:
            since_sound = 0
        elif since_sound > _MOST_PACKETS_WITHOUT_SOUND:
            raise UndecodableAudio(f"{_DAMAGED} {since_sound} packets in a row contain no audio.")
        yield from frames
    if packets and not decoded:
        raise UndecodableAudio(f"{_DAMAGED} None of its {packets} packets contains audio.")
    if damaged > max(_FEW_PACKETS, _MOST_DAMAGED * packets):
        raise UndecodableAudio(f"{_DAMAGED} {damaged} of its {packets} packets cannot be decoded.")


def _packets(container: "av.container.InputContainer", stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """The packets of a track, including those after unreadable parts of the file."""
    for _ in range(_MOST_DAMAGED_PARTS):
        try:
            yield from container.demux(stream)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            continue
        except IndexError:
            # At the end PyAV flushes all streams and fails at those that a damaged file has added while it was read.
            # Ours comes before them, so its last packet has been decoded.
            return
        return
    raise UndecodableAudio(_DAMAGED)


def _decoder(stream: AudioStream) -> AudioCodecContext:
    decoder = stream.codec_context
    better = _BETTER_DECODERS.get(decoder.name, "")
    if better in av.codecs_available:
        replacement = cast(AudioCodecContext, CodecContext.create(better, "r"))
        replacement.sample_rate, replacement.layout = decoder.sample_rate, decoder.layout
        decoder = replacement
    decoder.thread_count = 1
    return decoder


def _start(container: "av.container.InputContainer") -> float:
    """Start of the file's timeline, in seconds: its first video or audio frame."""
    return (container.start_time or 0) / av.time_base


def _time(container: "av.container.InputContainer", frame: AudioFrame) -> float | None:
    if container.format.name not in _TIMED or frame.time is None:
        return None
    return frame.time - _start(container)


def _refuse_truncated(stated: float, present: float) -> None:
    if stated - present > max(1.0, 0.005 * stated):
        raise UndecodableAudio(
            f"The file was cut short: its header states {stated:.1f} s, but it contains {present:.1f} s. Send the "
            "complete file."
        )


def _stated_end(part: Part, container: "av.container.InputContainer", stream: AudioStream) -> float | None:
    """End of a track according to the file's header or index, in seconds; None if they do not contain it."""
    name = container.format.name
    if name == "mov,mp4,m4a,3gp,3g2,mj2":
        if stream.duration is None or stream.time_base is None:
            return None
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - _start(container)
    if name == "matroska,webm" and (tag := stream.metadata.get("DURATION")) is not None:
        return _clock(tag)
    if not container.duration:
        return None
    seconds: float = container.duration / av.time_base
    if name == "wav":
        share = None if part.options else stated_wav_share(part.view)
        return None if share is None else seconds * share
    if name in _STATING_FRAMES and stream.frames and stream.time_base is not None:
        return float(stream.frames * stream.time_base)
    # Video and subtitles may be longer than the audio.
    alone = len(container.streams) == 1
    if name == "asf":
        return stated_asf_seconds(part.view) if alone else None
    if name == "mp3":
        frames = stated_mp3_frames(part.view)
        return None if frames is None else frames * _mp3_frame_seconds(stream.codec_context.sample_rate)
    return seconds if name in _STATING_LENGTH or (name == "matroska,webm" and alone) else None


def _mp3_frame_seconds(rate: int) -> float:
    """A frame of layer III has 1,152 samples, at the lower rates of MPEG-2 half of these (ISO 11172-3, 13818-3)."""
    return (1152 if rate >= 32_000 else 576) / rate


def _clock(tag: str) -> float | None:
    """Matroska's statistics tag DURATION, hours:minutes:seconds, in seconds; None if it has another format."""
    try:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
