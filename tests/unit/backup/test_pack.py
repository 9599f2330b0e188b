"""What is in the archive of a backup."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from io import BytesIO
from pathlib import Path

PACK = Path(__file__).parents[3] / "roles/backup/files/pack.py"


def packed(**folders: Path) -> dict[str, bytes]:
    """Name in the archive → content; of folders and links it is empty."""
    argument = json.dumps({name: str(folder) for name, folder in folders.items()})
    done = subprocess.run([sys.executable, str(PACK), argument], check=True, capture_output=True)
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        entries = archive.getmembers()
        files = {entry.name: archive.extractfile(entry) if entry.isreg() else None for entry in entries}
        return {name: file.read() if file else b"" for name, file in files.items()}


def test_folders_have_their_names_and_one_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "data/jobs").mkdir(parents=True)
    (tmp_path / "data/jobs/audio").write_bytes(b"sound")
    (tmp_path / "note").write_bytes(b"a file by itself")
    archive = packed(volume=tmp_path / "data", note=tmp_path / "note", gone=tmp_path / "gone")
    assert archive == {"volume": b"", "volume/jobs": b"", "volume/jobs/audio": b"sound", "note": b"a file by itself"}


def test_modes_owners_and_times_are_kept_and_names_of_users_are_not(tmp_path: Path) -> None:
    secret = tmp_path / "data/secret"
    secret.parent.mkdir()
    secret.touch(mode=0o600)
    os.utime(secret, (1_000_000_000, 1_000_000_000))
    done = subprocess.run(
        [sys.executable, str(PACK), json.dumps({"d": str(secret.parent)})], check=True, capture_output=True
    )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        entry = archive.getmember("d/secret")
    assert (entry.mode & 0o777, entry.mtime, entry.uid, entry.uname) == (0o600, 1_000_000_000, os.getuid(), "")


def test_a_database_in_use_is_whole(tmp_path: Path) -> None:
    """With a journal that holds what is committed, and a transaction that is not."""
    file = tmp_path / "jobs.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE job (id TEXT)")
        database.execute("INSERT INTO job VALUES ('committed')")
        database.execute("BEGIN")
        database.execute("INSERT INTO job VALUES ('not yet')")
        assert (tmp_path / "jobs.sqlite3-wal").stat().st_size > 0
        archive = packed(data=tmp_path)
    assert set(archive) == {"data", "data/jobs.sqlite3"}
    copy = tmp_path / "copy"
    copy.write_bytes(archive["data/jobs.sqlite3"])
    with closing(sqlite3.connect(copy)) as restored:
        assert restored.execute("SELECT id FROM job").fetchall() == [("committed",)]
