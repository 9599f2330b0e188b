"""At least 2,000 mutated files a run: only documented errors, in time, with nothing left behind.

FUZZ_SEED repeats a run, FUZZ_COUNT lengthens it. A file that fails stays in the folder that the message names: copy it
to `corpus`, with a row in `test_corpus.py`.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.media.fuzz import Run, bounded, resident_bytes
from tests.media.seeds import write_seeds

COUNT = 2000
CORPUS = Path(__file__).parent / "corpus"
# What malloc keeps after files of many formats; a leak of 50 kB a file would be twice this.
MEMORY_BYTES = 50_000_000


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    corpus = [path for path in sorted(CORPUS.iterdir()) if path.suffix != ".md"]
    return [*write_seeds(tmp_path_factory.mktemp("seeds")), *corpus]


def test_pyav_writes_many_containers_and_codecs(seeds: list[Path]) -> None:
    assert len({path.name.partition("-")[0] for path in seeds}) > 40
    assert len({path.suffix for path in seeds}) > 50


def test_seeds_are_decoded_as_documented(seeds: list[Path]) -> None:
    assert {path.name: fault for path in seeds if (fault := bounded(path))} == {}


def test_mutated_files(seeds: list[Path]) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(2**32))
    count = int(os.environ.get("FUZZ_COUNT") or COUNT)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    run = Run(seeds, folder, seed)
    print(f"FUZZ_SEED={seed} FUZZ_COUNT={count}")  # pytest shows it where the test fails
    before = resident_bytes()
    run.go(count)
    grown = resident_bytes() - before
    assert run.faults == []
    assert grown < MEMORY_BYTES
    shutil.rmtree(folder)
