"""Removes from shared libraries what no loader reads: symbol tables and debugging information.

Wheels come with more than 100 MB of it, and the base image has no `strip`. What the loader maps (PT_LOAD) is moved
together, everything else is left out. Source: System V ABI, chapters 4 (Object Files) and 5 (Program Loading), ELF-64.

Usage: strip_debug.py FOLDER
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD = 1
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_FILE_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")


@dataclass
class _Segment:
    type: int
    flags: int
    offset: int
    address: int
    physical_address: int
    file_size: int
    memory_size: int
    alignment: int


def stripped(library: bytes) -> bytes:
    """The library without what is not loaded. Raises ValueError for anything but a little-endian ELF-64 file."""
    if library[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a little-endian ELF-64 file")
    header = list(_FILE_HEADER.unpack_from(library))
    table, entry_size, entries = header[5], header[9], header[10]
    segments = [_Segment(*_PROGRAM_HEADER.unpack_from(library, table + i * entry_size)) for i in range(entries)]

    result = bytearray()
    moved: list[tuple[_Segment, int]] = []
    for segment in sorted((s for s in segments if s.type == _PT_LOAD), key=lambda s: s.offset):
        # The loader maps whole pages: an offset and its address must agree modulo the alignment.
        start = len(result) + (segment.offset - len(result)) % segment.alignment
        result += bytes(start - len(result))
        result += library[segment.offset : segment.offset + segment.file_size]
        moved.append((segment, start))

    def new_offset(offset: int) -> int:
        for segment, start in moved:
            if segment.offset <= offset < segment.offset + segment.file_size:
                return start + offset - segment.offset
        raise ValueError("a part that is needed is not loaded")

    for i, segment in enumerate(segments):
        offset = new_offset(segment.offset) if segment.file_size else 0
        entry = (segment.type, segment.flags, offset, segment.address, segment.physical_address)
        sizes = (segment.file_size, segment.memory_size, segment.alignment)
        _PROGRAM_HEADER.pack_into(result, new_offset(table) + i * entry_size, *entry, *sizes)
    header[5] = new_offset(table)
    header[6] = header[12] = header[13] = 0  # No section headers any more: only linkers and debuggers read them.
    _FILE_HEADER.pack_into(result, 0, *header)
    return bytes(result)


def main(folder: Path) -> None:
    saved = 0
    for path in sorted(folder.rglob("*.so*")):
        if path.is_symlink() or path.read_bytes()[:4] != b"\x7fELF":
            continue
        library = path.read_bytes()
        smaller = stripped(library)
        if len(smaller) < len(library):
            path.write_bytes(smaller)
            saved += len(library) - len(smaller)
    print(f"{saved / 1e6:.0f} MB of symbols and debugging information removed")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
