"""What bit rot, broken programs and attackers make of a file; a seeded generator repeats it."""

import random
import struct
from collections.abc import Callable, Sequence

# Sizes, counts and offsets at which readers of binary formats go wrong.
_INTERESTING = (0, 1, 2, 7, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
_HEADER_BYTES = 512


def _flip_bits(random_: random.Random, content: bytearray, _other: bytes) -> None:
    for _ in range(random_.randint(1, 32)):
        content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)


def _change_bytes(random_: random.Random, content: bytearray, _other: bytes) -> None:
    start = random_.randrange(len(content))
    length = min(len(content) - start, random_.choice((1, 2, 4, 16, 256, 4096)))
    content[start : start + length] = random_.choice((bytes(length), b"\xff" * length, random_.randbytes(length)))


def _change_header(random_: random.Random, content: bytearray, _other: bytes) -> None:
    for _ in range(random_.randint(1, 4)):
        content[random_.randrange(min(len(content), _HEADER_BYTES))] = random_.randrange(256)


def _change_integer(random_: random.Random, content: bytearray, _other: bytes) -> None:
    """Lengths and counts, mostly where headers are."""
    for _ in range(random_.randint(1, 3)):
        form = random_.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
        size = struct.calcsize(form)
        last = (min(len(content), _HEADER_BYTES) if random_.random() < 0.7 else len(content)) - size
        value = random_.choice(_INTERESTING) & (256**size - 1)
        start = random_.randint(0, max(0, last))
        content[start : start + size] = struct.pack(form, value)


def _truncate(random_: random.Random, content: bytearray, _other: bytes) -> None:
    del content[random_.randrange(1, len(content)) :]


def _block(random_: random.Random, content: bytearray) -> slice:
    start = random_.randrange(len(content))
    return slice(start, min(len(content), start + random_.choice((1, 3, 64, 188, 1024, 8192))))


def _delete_block(random_: random.Random, content: bytearray, _other: bytes) -> None:
    del content[_block(random_, content)]


def _duplicate_block(random_: random.Random, content: bytearray, _other: bytes) -> None:
    block = _block(random_, content)
    content[block.stop : block.stop] = content[block] * random_.choice((1, 1, 2, 50))


def _swap_blocks(random_: random.Random, content: bytearray, _other: bytes) -> None:
    block = bytes(content[(cut := _block(random_, content))])
    del content[cut]
    start = random_.randint(0, len(content))
    content[start:start] = block


def _splice(random_: random.Random, content: bytearray, other: bytes) -> None:
    """The first part of one file, then the last part of another."""
    content[random_.randrange(len(content)) :] = other[random_.randrange(len(other)) :]


def _exchange_header(random_: random.Random, content: bytearray, other: bytes) -> None:
    size = random_.choice((4, 12, 44, 64, 188, 512))
    content[:size] = other[:size]


_Mutation = Callable[[random.Random, bytearray, bytes], None]
_MUTATIONS: Sequence[_Mutation] = (
    _flip_bits,
    _change_bytes,
    _change_header,
    _change_integer,
    _truncate,
    _delete_block,
    _duplicate_block,
    _swap_blocks,
    _splice,
    _exchange_header,
)


def mutated(random_: random.Random, content: bytes, other: bytes) -> bytes:
    """One to three mutations of `content`; `other` is another recording to take parts of. Never empty."""
    result = bytearray(content)
    for mutation in random_.choices(_MUTATIONS, k=random_.choice((1, 1, 2, 3))):
        mutation(random_, result, other)
        result = result or bytearray(b"\0")
    return bytes(result)
