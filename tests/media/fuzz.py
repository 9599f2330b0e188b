"""Decoding files that nobody meant to write, and what must hold of every one of them."""

import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.media.hearing import DOCUMENTED
from tests.media.mutations import mutated
from whisper_server.speech import decoding
from whisper_server.speech.recording import SAMPLE_RATE

# A bound against hanging, not a measure of speed: these files last a second or two, and two are decoded at a time.
TIME_LIMIT = 20.0
LIMIT_SECONDS = 30.0
_SIDE_BY_SIDE = 2
_BATCH = 100
_SETTLING = 1.0


def decoded(path: Path) -> str | None:
    """What is wrong with how a file is decoded; None where all is as documented."""
    try:
        decoding.check(path, LIMIT_SECONDS)
        with decoding.decode(path, LIMIT_SECONDS) as recording:
            samples = recording.samples(0, recording.seconds)
            if recording.seconds > LIMIT_SECONDS:
                return f"decoded {recording.seconds} s, the limit is {LIMIT_SECONDS} s"
            if len(samples) != round(recording.seconds * SAMPLE_RATE):
                return f"{len(samples)} samples of a recording of {recording.seconds} s"
            if len(samples) and not abs(samples).max() <= 1:
                return "samples above 1"
    except DOCUMENTED as error:
        # What the process of the decoder died of, or raised, is not what the file deserves: it must have been foreseen.
        return f"the decoder failed: {error.__cause__!r}" if "its decoder failed" in str(error) else None
    except BaseException as error:
        return f"raised {error!r}"
    return None


def bounded(path: Path) -> str | None:
    """`decoded` in a thread of its own, which a file that blocks it may keep; the run goes on."""
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(decoded(path)), daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(TIME_LIMIT)
    if not found:
        return f"still decoding after {time.monotonic() - began:.0f} s"
    return found[0]


@dataclass(frozen=True)
class Holdings:
    """What a process has open: descriptors by what they point to, threads, and how many processes descend from it.

    One of these waits for the next file, another one for each file.
    """

    descriptors: list[str]
    threads: int
    processes: int

    @classmethod
    def now(cls) -> "Holdings":
        return cls(sorted(_descriptors()), threading.active_count(), sum(1 for _ in _descendants(os.getpid())))

    @classmethod
    def settled(cls, expected: "Holdings") -> "Holdings":
        """What is there once it is as expected, or has had time to: a process ends a little after its answer."""
        until = time.monotonic() + _SETTLING
        while (found := cls.now()) != expected and time.monotonic() < until:
            time.sleep(0.05)
        return found


def _descriptors() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        try:
            yield str(link.readlink())
        except FileNotFoundError:  # the descriptor with which the folder was read
            continue


def _descendants(ancestor: int) -> Iterator[int]:
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        children[int(parent)].append(int(stat.parent.name))
    generation = children[ancestor]
    while generation:
        yield from generation
        generation = [child for process in generation for child in children[process]]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Run:
    """A number of mutated files, each made from the run's seed and its own number alone."""

    seeds: list[Path]
    folder: Path
    seed: int
    faults: list[str] = field(default_factory=list)

    def file(self, number: int) -> Path:
        random_ = random.Random(f"{self.seed}-{number}")  # noqa: S311 - a seed has to repeat the run
        source = self.seeds[number % len(self.seeds)]
        # A part of another stream of the same codec is what decoders are least prepared for.
        alike = [path for path in self.seeds if path.suffix == source.suffix]
        other = random_.choice(random_.choice((alike, self.seeds)))
        content = mutated(random_, source.read_bytes(), other.read_bytes())
        path = self.folder / f"{self.seed}-{number}-{source.name}"
        path.write_bytes(content)
        return path

    def go(self, count: int) -> None:
        """Decode `count` files; `faults` names each that did not end as documented, and batches that left something."""
        self._batch(range(min(_BATCH, count)))  # what is loaded once is loaded now
        time.sleep(_SETTLING)
        with_nothing = Holdings.now()
        for first in range(0, count, _BATCH):
            self._batch(range(first, min(count, first + _BATCH)))
            left = Holdings.settled(with_nothing)
            if left != with_nothing:
                self.faults.append(f"files {first} to {first + _BATCH} left behind: {with_nothing} became {left}")
                with_nothing = left

    def _batch(self, numbers: range) -> None:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            for path, fault in pool.map(self._one, numbers):
                if fault:
                    self.faults.append(f"{path}: {fault}")
                else:
                    path.unlink()

    def _one(self, number: int) -> tuple[Path, str | None]:
        path = self.file(number)
        return path, bounded(path)
