"""Files, and parts of files, that no program of ours writes: headers that lie, covers, tags, broken streams."""

import base64
import struct
import zlib
from collections.abc import Sequence

WAV_HEADER_BYTES = 44


def wav(
    sound: bytes, rate: int = 16_000, riff: int | None = None, data: int | None = None, behind: bytes = b""
) -> bytes:
    """A mono WAV of 16 bits; `riff` and `data` are the sizes that it states where they are not the true ones."""
    riff = 36 + len(sound) + len(behind) if riff is None else riff
    data = len(sound) if data is None else data
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + struct.pack("<4sI", b"data", data) + sound + behind


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def png(width: int, height: int) -> bytes:
    """A black picture of 8 bits a colour: 3 bytes a pixel once it is decoded, a thousandth of that here."""
    rows = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in parts
    )


def id3(*frames: tuple[bytes, bytes], padding: int = 0) -> bytes:
    """An ID3v2.3 tag, as it lies in front of an MP3."""
    body = b"".join(struct.pack(">4sIH", name, len(content), 0) + content for name, content in frames) + bytes(padding)
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body


def id3_cover(picture: bytes) -> bytes:
    return id3((b"APIC", b"\0image/png\0\x03\0" + picture))


def flac_picture(picture: bytes, side: int) -> bytes:
    """The content of a METADATA_BLOCK_PICTURE, of FLAC and of Ogg."""
    kind = b"image/png"
    sizes = struct.pack(">IIII", side, side, 24, 0)
    return (
        struct.pack(">II", 3, len(kind))
        + kind
        + struct.pack(">I", 0)
        + sizes
        + struct.pack(">I", len(picture))
        + picture
    )


def flac_with_cover(flac: bytes, picture: bytes, side: int) -> bytes:
    """The picture follows the first block, STREAMINFO."""
    block = flac_picture(picture, side)
    assert flac[4] & 0x80 == 0, "STREAMINFO is not the last block"
    return flac[:42] + b"\x06" + len(block).to_bytes(3, "big") + block + flac[42:]


def vorbis_comment_cover(picture: bytes, side: int) -> str:
    return base64.b64encode(flac_picture(picture, side)).decode()


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def mp4_with_cover(mp4: bytes, picture: bytes) -> bytes:
    """Appends the tags to `moov`, which has to be the last box of the file."""
    start = mp4.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", mp4, start)
    assert start + size == len(mp4)
    handler = box(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    cover = box(b"covr", box(b"data", struct.pack(">II", 14, 0), picture))
    tags = box(b"udta", box(b"meta", bytes(4), handler, box(b"ilst", cover)))
    return mp4[:start] + struct.pack(">I", size + len(tags)) + mp4[start + 4 :] + tags


def ogg_pages(serial: int, packets: Sequence[bytes], samples_each: int) -> bytes:
    """One page for each packet of at most 254 bytes; the checksum is that of RFC 3533."""
    pages = []
    for number, packet in enumerate(packets):
        granule = max(0, number - 1) * samples_each
        flags = 2 if number == 0 else 4 if number == len(packets) - 1 else 0
        page = (
            struct.pack("<4sBBqIII", b"OggS", 0, flags, granule, serial, number, 0) + bytes((1, len(packet))) + packet
        )
        pages.append(page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:])
    return b"".join(pages)


def _ogg_checksum(page: bytes) -> int:
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = ((register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register
