#!/usr/bin/env python3
"""Lay out the wheels of torch and torchaudio for hosts that do not reach PyTorch's index: `.cache/wheels`.

That is the folder `wheels` of the WhisperX image's build context. torch is the build for the processor, from wherever
pip finds it. torchaudio's wheel on PyPI is CUDA's; without the extensions in its `lib`, which nothing here uses, it
runs with any torch.
"""

from __future__ import annotations

import csv
import fcntl
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = Path(__file__).resolve().parents[1] / ".cache" / "wheels"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH = "torch==2.13.0+cpu"
TORCHAUDIO = "torchaudio==2.11.0"


def main() -> int:
    # The demo and tests may want them at once: who comes second waits, and finds them.
    with Path(__file__).open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return fetch()


def fetch() -> int:
    WHEELS.mkdir(parents=True, exist_ok=True)
    if len(list(WHEELS.glob("*.whl"))) == 2:
        print("wheels: they are there")
        return 0
    with tempfile.TemporaryDirectory(dir=WHEELS) as folder:
        for requirement in (TORCH, TORCHAUDIO):
            print(f"wheels: fetching {requirement}", flush=True)
            # PyTorch's index is asked last: pip may be configured with all that this machine reaches.
            if not (download(requirement, folder) or download(requirement, folder, "--index-url", TORCH_INDEX)):
                print(
                    f"wheels: pip finds {requirement} neither where it is configured to look nor at {TORCH_INDEX}. "
                    f"Name a folder of wheels with PIP_FIND_LINKS, or put those of torch and torchaudio into {WHEELS}.",
                    file=sys.stderr,
                )
                return 1
        for wheel in Path(folder).glob("*.whl"):
            if wheel.name.startswith("torchaudio"):
                without_extensions(wheel, WHEELS / wheel.name)
            else:
                wheel.rename(WHEELS / wheel.name)
    print(f"wheels: in {WHEELS}")
    return 0


def download(requirement: str, folder: str, *options: str) -> bool:
    """Have pip put a wheel into the folder; return whether it could."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", "3.11", "--dest", folder, *options, requirement]
    return subprocess.run(command, check=False).returncode == 0


def without_extensions(wheel: Path, target: Path) -> None:
    """Write a wheel's copy without `lib/*.so`, also in its list of files."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for member in source.infolist():
            if is_extension(member.filename):
                continue
            content = source.read(member)
            if member.filename.endswith(".dist-info/RECORD"):
                rows = [row for row in csv.reader(io.StringIO(content.decode())) if not is_extension(row[0])]
                record = io.StringIO()
                csv.writer(record, lineterminator="\n").writerows(rows)
                content = record.getvalue().encode()
            copy.writestr(member, content)


def is_extension(path: str) -> bool:
    return path.startswith("torchaudio/lib/") and path.endswith(".so")


if __name__ == "__main__":
    sys.exit(main())
