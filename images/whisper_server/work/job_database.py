"""The SQLite file with the jobs: one table, in write-ahead mode, for any number of threads and processes."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whisper_server.work.disk_space import is_full_disk
from whisper_server.work.job_errors import StorageFull

# How long a statement waits for another process. Transactions take milliseconds, but the disk may be slow.
_BUSY_SECONDS = 30.0

# `place` is the job's place in the queue. `request`, `error` and `transcript` are the JSON of a JobRequest, a Failure
# and a Transcript. The transcript is the last column because it may be 10 MB: SQLite reads the others without it.
_TABLE = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    status TEXT NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed', 'cancelled')),
    place INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    alone INTEGER NOT NULL,
    claim TEXT,
    lease REAL,
    stage TEXT,
    progress REAL NOT NULL,
    position REAL NOT NULL,
    memory REAL NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    request TEXT NOT NULL,
    error TEXT,
    transcript BLOB,
    CHECK ((status = 'in_progress') = (claim IS NOT NULL) AND (claim IS NULL) = (lease IS NULL))
) STRICT
"""
_INDEX = "CREATE INDEX IF NOT EXISTS job_queue ON job (status, place)"


class JobDatabase:
    """A connection to the file, for one thread at a time: a transaction is far shorter than the work on a job."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        with _alone(path.parent):
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self.writing() as connection:
                connection.execute(_TABLE)
                connection.execute(_INDEX)

    def read(self, statement: str, *parameters: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(statement, parameters).fetchall()

    @contextmanager
    def writing(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction, which is rolled back if the body raises.

        With `synced` it survives a power failure, which takes milliseconds longer: use it for what clients are told.
        Raises StorageFull.
        """
        with self._lock:
            connection = self._connection
            try:
                connection.execute("PRAGMA synchronous = FULL" if synced else "PRAGMA synchronous = NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if is_full_disk(error):
                    raise StorageFull from error
                raise

    def change(self, statement: str, *parameters: object, synced: bool = True) -> bool:
        """Executes one statement, and returns whether it changed a row. Raises StorageFull."""
        with self.writing(synced=synced) as connection:
            return connection.execute(statement, parameters).rowcount > 0

    def close(self) -> None:
        """Closes the file. Later calls raise sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lets one process at a time open the file: SQLite does not wait for others when it changes the journal mode."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
