"""Files that contain more than their first header states: chained Ogg, concatenated WAV, WAV with a premature header.

FFmpeg reads such a file up to the first change, or as much as its header states, without an error. Sources:
RFC 3533 (Ogg: chaining), Microsoft's Multimedia Programming Interface (RIFF).
"""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_OGG_HEADER = struct.Struct("<4sBBqIIIB")
_OGG_FIRST_PAGE = 0x02

_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# GUID, size, file, its size, date, packets, play duration and send duration in 100 ns, preroll in ms, flags.
_ASF_PROPERTIES = struct.Struct("<16sQ16sQQQQQQI")

_CHUNK = struct.Struct("<4sI")
# Programs that write WAV to a pipe do not know its size and write a number near one of these two limits instead.
_UNKNOWN_SIZE = 0x7FF00000


@dataclass
class FileView(io.RawIOBase):
    """The bytes `start` to `end` of an open file, with a read position of its own.

    Processes that inherit a descriptor share the descriptor's.
    """

    descriptor: int
    start: int = 0
    end: int = -1
    _position: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.end < 0:
            self.end = os.fstat(self.descriptor).st_size

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self._position)
        content = self.at(self._position, left if size < 0 else min(size, left))
        self._position += len(content)
        return content

    def at(self, position: int, size: int) -> bytes:
        """Up to `size` bytes at a position, fewer at the end of the file."""
        return os.pread(self.descriptor, max(0, min(size, self.size - position)), self.start + position)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@dataclass(frozen=True)
class Part:
    """A part of a file that FFmpeg reads as a file, with the options for reading all of it."""

    view: FileView
    options: dict[str, str] = field(default_factory=dict)


def parts_of(file: FileView) -> list[Part]:
    """The parts of a file that follow each other in time; usually one, the file."""
    magic = file.at(0, 12)
    if magic[:4] == b"OggS":
        return [Part(view) for view in _split(file, [0, *_ogg_links(file)])]
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
        return list(_wav_parts(file))
    return [Part(file)]


def stated_wav_share(file: FileView) -> float | None:
    """RIFF's size field divided by the file's size; None if it contains no size.

    FFmpeg reports the file's size as the length of a truncated WAV.
    """
    magic, size = _CHUNK.unpack(file.at(0, 8).ljust(8, b"\0"))
    if magic != b"RIFF" or size >= _UNKNOWN_SIZE or not file.size:
        return None
    return float((size + 8) / file.size)


def stated_mp3_frames(file: FileView) -> int | None:
    """The number of frames in the Xing or Info header of an MP3, None if it has none.

    FFmpeg estimates the length from the bit rate if files were concatenated and the header is that of the first.
    """
    id3 = file.at(0, 10).ljust(10, b"\0")
    start = 0
    if id3[:3] == b"ID3":
        # The size of the tag is in four bytes of seven bits (ID3v2.4.0, section 3.1).
        start = 10 + (id3[6] << 21 | id3[7] << 14 | id3[8] << 7 | id3[9])
    frame = file.at(start, 256)
    for name in (b"Xing", b"Info"):
        position = frame.find(name)
        if position >= 0 and len(frame) >= position + 12:
            _, flags, frames = struct.unpack(">4sII", frame[position : position + 12])
            return frames if flags & 1 and frames else None
    return None


def stated_asf_seconds(file: FileView) -> float | None:
    """The duration in the header of an ASF file (WMA), in seconds, None if it has none.

    FFmpeg replaces it by that of the data it reads. Source: Microsoft's ASF specification, 3.2, File Properties Object.
    """
    header = file.at(0, 16 * 1024)
    position = header.find(_ASF_FILE_PROPERTIES)
    content = header[position : position + _ASF_PROPERTIES.size]
    if position < 0 or len(content) < _ASF_PROPERTIES.size:
        return None
    _, _, _, _, _, _, play, _, preroll, flags = _ASF_PROPERTIES.unpack(content)
    is_broadcast = flags & 1
    seconds = float(play / 1e7 - preroll / 1e3)
    return None if is_broadcast or seconds <= 0 else seconds


def _split(file: FileView, starts: list[int]) -> Iterator[FileView]:
    for start, end in zip(starts, [*starts[1:], file.size], strict=True):
        yield FileView(file.descriptor, file.start + start, file.start + end)


def _ogg_links(file: FileView) -> Iterator[int]:
    """Offsets of all links of a chain except the first: first pages of a stream that follow other pages."""
    position, heading = 0, True
    while len(header := file.at(position, _OGG_HEADER.size)) == _OGG_HEADER.size:
        magic, _, flags, _, _, _, _, segments = _OGG_HEADER.unpack(header)
        if magic != b"OggS":
            return  # damaged: FFmpeg finds the next page on its own
        first = bool(flags & _OGG_FIRST_PAGE)
        if first and not heading:
            yield position
        heading = first
        position += _OGG_HEADER.size + segments + sum(file.at(position + _OGG_HEADER.size, segments))


def _wav_parts(file: FileView) -> Iterator[Part]:
    start = 0
    while start < file.size:
        view = FileView(file.descriptor, file.start + start, file.end)
        end = _end_of_audio(view)
        if end is None or _are_chunks(view, end):
            yield Part(view)
            return
        if view.at(end, 4) != b"RIFF":
            # The header was written with the first block of audio and contains its size; the rest followed.
            yield Part(view, {"ignore_length": "1"})
            return
        yield Part(FileView(file.descriptor, view.start, view.start + end))
        start += end


def _end_of_audio(wav: FileView) -> int | None:
    """End of the first data chunk of a WAV, None if it is unknown or not within the file."""
    position = 12
    while len(header := wav.at(position, _CHUNK.size)) == _CHUNK.size:
        name, size = _CHUNK.unpack(header)
        position += _CHUNK.size + size
        if name == b"data":
            return position if 0 < size < _UNKNOWN_SIZE and position < wav.size else None
        position += size % 2
    return None


def _are_chunks(wav: FileView, position: int) -> bool:
    """Whether only RIFF chunks, or less than one, follow a position."""
    # Some programs pad chunks of odd length.
    if _looks_like_chunk(wav, position + position % 2):
        position += position % 2
    while wav.size - position >= _CHUNK.size:
        if not _looks_like_chunk(wav, position):
            return not any(wav.at(position, 4096))
        position += _CHUNK.size + int(_CHUNK.unpack(wav.at(position, _CHUNK.size))[1])
        position += position % 2
    return True


def _looks_like_chunk(wav: FileView, position: int) -> bool:
    name, size = _CHUNK.unpack(wav.at(position, _CHUNK.size).ljust(_CHUNK.size, b"\0"))
    # A RIFF header within a RIFF file starts the next file.
    printable = all(32 <= byte < 127 for byte in name)
    return name != b"RIFF" and printable and bool(position + size <= wav.size)
