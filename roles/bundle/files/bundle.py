"""Packs the folder of an offline bundle into an archive, and unpacks the archive for a deployment.

The archive is a tar file. Its first member, `manifest.json`, names its distribution and architecture and has
the SHA-256 of every file that follows. This detects damaged and incomplete archives; it does not authenticate them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"
FORMAT = 1


class Refused(Exception):
    """Why an archive is rejected, as a message for the administrator."""


@dataclass(frozen=True)
class Target:
    """The hosts that an archive is for."""

    distribution: str
    """Identifier and major version, as in os-release(5): ``debian 13``."""
    architecture: str
    """The machine as in uname(2): ``x86_64``."""

    def __str__(self) -> str:
        return f"{self.distribution} on {self.architecture}"


def pack(folder: Path, archive: Path, target: Target) -> None:
    """Write all files of the folder to the archive, atomically."""
    files = {str(path.relative_to(folder)): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    manifest = json.dumps({"format": FORMAT, "target": asdict(target), "files": files}, indent=1).encode()
    draft = archive.with_name(f"{archive.name}.part")
    with tarfile.open(draft, "w", dereference=True) as tar:
        first = tarfile.TarInfo(MANIFEST)
        first.size = len(manifest)
        tar.addfile(first, io.BytesIO(manifest))
        for name in files:
            tar.add(folder / name, name)
    draft.rename(archive)


def open_bundle(archive: Path, target: Target) -> Path:
    """Unpack the archive next to itself, unless that was done and is complete; return the folder.

    Raises:
        Refused: the archive is missing, damaged, incomplete or for other hosts. Nothing was unpacked then.
    """
    if not archive.is_file():
        raise Refused(f"{archive} does not exist. Build it with `make bundle`, or correct bundle_archive.")
    try:
        with tarfile.open(archive, "r:") as tar:
            files = _manifest(archive, tar, target)
            folder = archive.with_name(f"{archive.name}.unpacked")
            if not _damaged(folder, files):
                return folder
            with tempfile.TemporaryDirectory(prefix=f".{archive.name}-", dir=archive.parent) as draft:
                _unpack(archive, tar, Path(draft), files)
                shutil.rmtree(folder, ignore_errors=True)
                Path(draft, "content").rename(folder)
    except tarfile.TarError as error:
        raise _is_damaged(archive, str(error)) from error
    except OSError as error:
        raise Refused(f"{archive} could not be unpacked into {archive.parent}: {error}") from error
    return folder


def _manifest(archive: Path, tar: tarfile.TarFile, target: Target) -> Mapping[str, str]:
    """Name → SHA-256 of the files that the archive must contain."""
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise Refused(f"{archive} is not a bundle: it does not begin with {MANIFEST}. Build one with `make bundle`.")
    try:
        manifest = json.load(content)
        found = manifest["format"]
        built_for = Target(**manifest["target"])
        files: dict[str, str] = dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise _is_damaged(archive, f"{MANIFEST} cannot be read") from error
    for name in files:
        if name.startswith("/") or ".." in name.split("/"):
            raise _is_damaged(archive, f"{name} points outside of it")
    if found != FORMAT:
        raise Refused(f"{archive} has format {found}, this version reads {FORMAT}. Build it again with this version.")
    if built_for != target:
        raise Refused(f"{archive} is for {built_for}, the host is {target}. Build one for it with `make bundle`.")
    return files


def _unpack(archive: Path, tar: tarfile.TarFile, draft: Path, files: Mapping[str, str]) -> None:
    content = draft / "content"
    content.mkdir(mode=0o755)
    for member in tar:
        if member.name == MANIFEST:
            continue
        source = tar.extractfile(member) if member.isreg() and member.name in files else None
        if source is None:
            raise _is_damaged(archive, f"{member.name} does not belong to it")
        path = content / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not with tar.extract(filter="data"): Debian 12's Python 3.11.2 has no filters.
        with path.open("wb") as file:
            shutil.copyfileobj(source, file)
    damaged = _damaged(content, files)
    if damaged:
        raise _is_damaged(archive, f"{', '.join(damaged)} missing or changed")


def _is_damaged(archive: Path, found: str) -> Refused:
    return Refused(f"{archive} is damaged or incomplete ({found}). Copy it again from the machine where it was built.")


def _damaged(folder: Path, files: Mapping[str, str]) -> list[str]:
    """The files that are missing in the folder or differ."""
    return [name for name, wanted in files.items() if not (folder / name).is_file() or _sha256(folder / name) != wanted]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    packer = commands.add_parser("pack", help="pack a folder into the archive")
    packer.add_argument("folder", type=Path)
    opener = commands.add_parser("open", help="unpack the archive next to itself and print the folder")
    for command in (packer, opener):
        command.add_argument("archive", type=Path)
        command.add_argument("--distribution", required=True, help="as in os-release(5): debian 13")
        command.add_argument("--architecture", required=True, help="as in uname(2): x86_64")
    arguments = parser.parse_args()
    target = Target(arguments.distribution, arguments.architecture)
    if arguments.command == "pack":
        pack(arguments.folder, arguments.archive, target)
        return 0
    try:
        print(open_bundle(arguments.archive, target))
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
