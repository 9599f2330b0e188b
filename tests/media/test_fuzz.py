"""At least 2,000 mutated files a run: only documented errors, in time, with nothing left behind.

They are the same in every run, so that a change is told by what it breaks; other ones come with another FUZZ_SEED, more
with FUZZ_COUNT, as in `make test-all`. A file that fails stays in the folder that the message names: copy it to
`corpus`, with a row in `test_corpus.py`.
"""

import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from tests.media import fuzz, lists
from tests.media.fuzz import Run, bounded, resident_bytes
from tests.media.seeds import write_seeds
from whisper_server.speech import decoding

SEED = 1
COUNT = 2000
CORPUS = Path(__file__).parent / "corpus"
# What malloc keeps after files of many formats; a leak of 50 kB a file would be twice this.
MEMORY_BYTES = 50_000_000


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    corpus = [path for path in sorted(CORPUS.iterdir()) if path.suffix != ".md"]
    texts = [folder / f"list-{number}.text" for number, _ in enumerate(lists.NAMING)]
    for path, text in zip(texts, lists.NAMING.values(), strict=True):
        path.write_text(text.format(target="/proc/self/fd/0"))
    return [*write_seeds(folder), *corpus, *texts]


def test_pyav_writes_many_containers_and_codecs(seeds: list[Path]) -> None:
    assert len({path.name.partition("-")[0] for path in seeds}) > 40
    assert len({path.suffix for path in seeds}) > 50


def test_seeds_are_decoded_as_documented(seeds: list[Path]) -> None:
    assert {path.name: fault for path in seeds if (fault := bounded(path))} == {}


@pytest.fixture
def small(tmp_path: Path) -> Run:
    return Run([CORPUS / "dtx.amr", CORPUS / "hole.webm"], tmp_path, seed=1)


def test_a_fault_is_found(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("not documented")

    monkeypatch.setattr(decoding, "decode", fail)
    small.go(3)
    assert any("ValueError" in fault for fault in small.faults)


def test_a_file_that_blocks_is_found(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unblock = threading.Event()
    monkeypatch.setattr(decoding, "check", lambda *_: unblock.wait())
    monkeypatch.setattr(fuzz, "TIME_LIMIT", 0.1)
    small.go(1)
    unblock.set()
    assert any("still decoding" in fault for fault in small.faults)


def test_a_leak_is_found(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(decoding, "check", lambda path, _: kept.append(path.open("rb")))
    small.go(1)
    assert any("left behind" in fault for fault in small.faults)
    for file in kept:
        file.close()


def test_mutated_files(seeds: list[Path]) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or SEED)
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
