"""Jobs of versions that stored them with huey, so that neither an upgrade nor a rollback to such a version loses any.

huey's table `kv`, in the same file, has pickled values under the keys `job.ID.record`, `job.ID.transcript` and
`job.ID.MARK`. This version reads it at startup. It also maintains a record in it for each unfinished job, because those
versions offer a job without a worker to one. The values of a deleted job are deleted too.

Delete this module when nobody rolls back to such a version any more.
"""

import json
import logging
import pickle
import pickletools
import time
from collections.abc import Mapping
from dataclasses import replace
from sqlite3 import Connection
from typing import Any

from pydantic import TypeAdapter

from whisper_server.work.job_records import UNFINISHED, Failure, JobRequest, Record

_logger = logging.getLogger("whisper_server")

# Seconds without a sign of life after which those versions give up on a worker.
_LEASE_SECONDS = 30

# As huey 3.5 creates them.
_VALUES_TABLE = """
CREATE TABLE IF NOT EXISTS kv (
    queue TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (queue, key)
)
"""
_QUEUE_TABLE = """
CREATE TABLE IF NOT EXISTS task (
    id INTEGER NOT NULL PRIMARY KEY, queue TEXT NOT NULL, data BLOB NOT NULL, priority REAL NOT NULL DEFAULT 0.0
)
"""

# Without the transcripts: each may be 10 MB.
_VALUES = """
SELECT key, CASE WHEN key LIKE '%.transcript' THEN NULL ELSE value END AS value
FROM kv WHERE queue = 'whisper' AND key LIKE 'job.%'
"""
_KINDS = ("record", "transcript", "cancelled", "lease", "lost")


def create_tables(connection: Connection) -> None:
    """Creates huey's tables if no such version has: one may be deployed later."""
    connection.execute(_VALUES_TABLE)
    connection.execute(_QUEUE_TABLE)


def records(connection: Connection) -> Mapping[str, Record | None]:
    """The jobs in its table, the oldest first; None for a job whose record is missing or unreadable."""
    stored: dict[str, dict[str, bytes | None]] = {}
    for row in connection.execute(_VALUES):
        _, job_id, kind = row["key"].split(".")
        stored.setdefault(job_id, {})[kind] = row["value"]
    read = {job_id: _read(job_id, values) for job_id, values in stored.items()}
    return dict(sorted(read.items(), key=lambda job: job[1].created if job[1] else 0.0))


def empty_queue(connection: Connection) -> None:
    """Deletes huey's own queue of ids; such a version adds missing jobs to it again after half a minute."""
    connection.execute("DELETE FROM task WHERE queue = 'whisper'")


def transcript(connection: Connection, job_id: str) -> bytes | None:
    """A transcript as JSON, on one line or with one line per segment; None without one."""
    row = connection.execute("SELECT value FROM kv WHERE key = ?", (f"job.{job_id}.transcript",)).fetchone()
    found: bytes | None = None if row is None else _unpickled(row["value"])
    return found


def show(connection: Connection, record: Record) -> None:
    """Adds an unfinished job to the table, as a waiting one, for the case of a rollback."""
    hide(connection, record.id)
    shown = {"order": json.loads(TypeAdapter(JobRequest).dump_json(record.request)), "created": record.created}
    row = ("whisper", f"job.{record.id}.record", pickle.dumps(json.dumps(shown)))
    connection.execute("INSERT INTO kv (queue, key, value) VALUES (?, ?, ?)", row)


def hide(connection: Connection, job_id: str) -> None:
    """Deletes a job from the table."""
    keys = [(f"job.{job_id}.{kind}",) for kind in _KINDS]
    connection.executemany("DELETE FROM kv WHERE queue = 'whisper' AND key = ?", keys)


def _read(job_id: str, stored: Mapping[str, bytes | None]) -> Record | None:
    if "record" not in stored:  # such a version leaves this when a running job is deleted
        return None
    try:
        return _record(job_id, {kind: value and _unpickled(value) for kind, value in stored.items()})
    except Exception as error:
        _logger.error("Job %s of an earlier version cannot be read and is not taken over: %s", job_id, error)
        return None


def _unpickled(value: bytes) -> Any:
    """The text, bytes or number that was pickled. Nothing in the pickle is executed."""
    arguments = (argument for _, argument, _ in pickletools.genops(value))
    return next(argument for argument in arguments if isinstance(argument, str | bytes | float))


def _record(job_id: str, stored: Mapping[str, Any]) -> Record:
    fields = json.loads(stored["record"])
    request = TypeAdapter(JobRequest).validate_python(fields.pop("order"))
    error = fields.pop("error", None)
    record = Record(job_id, request, error=Failure(**error) if error else None, **fields)
    if record.status not in UNFINISHED:
        return record
    if "cancelled" in stored:
        return replace(record, status="cancelled")
    if "transcript" in stored:  # its worker was killed before it set the status
        return replace(record, status="completed", progress=1.0, finished=time.time())
    if record.status == "in_progress":
        return replace(record, claim="earlier", lease=stored.get("lease", record.created) + _LEASE_SECONDS)
    return record
