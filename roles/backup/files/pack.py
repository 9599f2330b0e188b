"""Writes a tar archive of folders to the standard output, gzip compressed.

The only argument is a JSON object: name in the archive → folder or file. One that does not exist is left out. SQLite
databases (`*.sqlite3`) are copied with SQLite's online backup, so that a service may keep writing to them; their
journals are left out.
"""

import json
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

DATABASE = ".sqlite3"
JOURNALS = (f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal")


def files(folder: Path) -> Iterator[Path]:
    """The folder and everything below it except SQLite's journals, parents before children."""
    yield folder
    for path in sorted(folder.rglob("*")):
        if not path.name.endswith(JOURNALS):
            yield path


def add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        entry = archive.gettarinfo(path, name)
        content = path.open("rb") if entry.isreg() else None
    except FileNotFoundError:
        return
    # Only numeric ids: the same names may have other ids where the archive is unpacked.
    entry.uname = entry.gname = ""
    if content is None:
        archive.addfile(entry)
        return
    with content:
        if not path.name.endswith(DATABASE):
            archive.addfile(entry, content)
            return
    with tempfile.NamedTemporaryFile() as copy:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy.name)) as target:
            source.backup(target)
        copy.seek(0)
        entry.size = Path(copy.name).stat().st_size
        archive.addfile(entry, copy)


def main() -> None:
    folders = json.loads(sys.argv[1])
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz") as archive:
        for name, folder in folders.items():
            if Path(folder).exists():
                for path in files(Path(folder)):
                    add(archive, path, str(Path(name) / path.relative_to(folder)))


if __name__ == "__main__":
    main()
