"""Stores jobs: one row per job in SQLite, and the recording in a folder named after the job's id.

The folder is created before the row and deleted after it. A server that is killed thus leaves either a complete job or
a folder without one.
"""

import json
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any

from pydantic import TypeAdapter

from whisper_server.process.settings import Settings
from whisper_server.speech.transcript import Segment, Transcript
from whisper_server.work import earlier_jobs
from whisper_server.work.job_database import JobDatabase
from whisper_server.work.job_records import STATUSES, UNFINISHED, Failure, JobRequest, Record, Status
from whisper_server.work.progress import Progress

_RECORDS = """
SELECT id, owner, status, attempts, alone, claim, lease, stage, progress, position, memory, created, started, finished,
    request, error
FROM job
"""

_INSERT = """
INSERT OR REPLACE INTO job
VALUES (
    :id, :owner, :status, (SELECT coalesce(max(place), 0) + 1 FROM job), :attempts, :alone, :claim, :lease, :stage,
    :progress, :position, :memory, :created, :started, :finished, :request, :error, :transcript
)
"""

_CLAIM = """
UPDATE job
SET status = 'in_progress', claim = ?, lease = ?, attempts = attempts + 1, started = ?, stage = 'decoding',
    progress = 0, position = 0, memory = 0, error = NULL
WHERE id = (SELECT id FROM job WHERE status = 'queued' ORDER BY place LIMIT 1)
RETURNING id
"""

# If the job has another claim, or none, these statements change nothing.
_RENEW = "UPDATE job SET lease = ? WHERE id = ? AND claim = ?"
_ADVANCE = "UPDATE job SET stage = ?, progress = ?, position = ? WHERE id = ? AND claim = ?"
_NOTE_MEMORY = "UPDATE job SET memory = ? WHERE id = ? AND claim = ?"
_NOTE_ERROR = "UPDATE job SET error = ? WHERE id = ? AND claim = ?"
_QUEUE = """
UPDATE job
SET status = 'queued', claim = NULL, lease = NULL, attempts = ?, alone = ?, started = NULL, stage = NULL, progress = 0,
    place = (SELECT max(place) + 1 FROM job)
WHERE id = ? AND claim = ?
"""
_COMPLETE = """
UPDATE job SET status = 'completed', claim = NULL, lease = NULL, progress = 1, finished = ?, transcript = ?
WHERE id = ? AND claim = ?
"""
_FAIL = """
UPDATE job SET status = 'failed', claim = NULL, lease = NULL, finished = ?, error = ? WHERE id = ? AND claim = ?
"""
_CANCEL = """
UPDATE job SET status = 'cancelled', claim = NULL, lease = NULL WHERE id = ? AND status IN ('queued', 'in_progress')
"""


class JobStorage:
    """Jobs by id, without the rules of `JobStore`. Several threads and processes may use the same folder.

    Methods that change a job raise StorageFull if the disk is full, and have then changed nothing. Those that take an
    attempt change nothing if it has lost the job; if they return a bool, it says whether the attempt still had it.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data_folder / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._database = JobDatabase(settings.data_folder / "jobs.sqlite3")
        with self._database.writing() as connection:
            self._take_over_earlier(connection)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    # Recordings

    def ids(self) -> set[str]:
        """Names of the folders, including those of jobs that are being added or deleted."""
        return {path.name for path in self.folder.iterdir()}

    def audio(self, job_id: str) -> Path:
        """Path of a job's recording."""
        return self.folder / job_id / "audio"

    def delete_audio(self, job_id: str) -> None:
        """Deletes a job's recording, if there is one. Raises OSError if it cannot be deleted."""
        self.audio(job_id).unlink(missing_ok=True)

    def last_written(self, job_id: str) -> float:
        """When a job's folder was last written to, in seconds since the epoch; 0 without a folder."""
        place = self.folder / job_id
        with suppress(FileNotFoundError):
            return max(path.stat().st_mtime for path in (place, *place.iterdir()))
        return 0.0

    # Rows

    def add(self, audio: Path, record: Record) -> None:
        """Copies the recording and inserts the row. Raises OSError if the recording cannot be copied."""
        (self.folder / record.id).mkdir()
        # Copied by the kernel. An upload cannot be linked instead: `tempfile` creates its unnamed files with O_EXCL,
        # which forbids that (open(2), O_TMPFILE).
        shutil.copyfile(audio, self.audio(record.id))
        with self._database.writing() as connection:
            connection.execute(_INSERT, _row(record))
            earlier_jobs.show(connection, record)

    def record(self, job_id: str) -> Record | None:
        """A job; None for an unknown id."""
        rows = self._database.read(_RECORDS + "WHERE id = ?", job_id)
        return _record(rows[0]) if rows else None

    def records(self, owner: str | None = None) -> list[Record]:
        """The jobs of one owner, or of all with None, newest first."""
        condition = "WHERE owner = ?1 OR ?1 IS NULL ORDER BY created DESC, place DESC"
        return [_record(row) for row in self._database.read(_RECORDS + condition, owner)]

    def expired(self, now: float) -> list[Record]:
        """Running jobs whose lease has expired at `now`, in seconds since the epoch."""
        condition = "WHERE status = 'in_progress' AND lease < ?"
        return [_record(row) for row in self._database.read(_RECORDS + condition, now)]

    def ends(self) -> Mapping[str, float | None]:
        """When each job ended, in seconds since the epoch; None if unfinished, its creation if cancelled."""
        rows = self._database.read("SELECT id, status, coalesce(finished, created) AS ended FROM job")
        return {row["id"]: None if row["status"] in UNFINISHED else row["ended"] for row in rows}

    def counts(self) -> dict[Status, int]:
        """Number of jobs by status, 0 included."""
        rows = self._database.read("SELECT status, count(*) AS number FROM job GROUP BY status")
        return dict.fromkeys(STATUSES, 0) | {row["status"]: row["number"] for row in rows}

    def oldest_waiting(self) -> float | None:
        """When the oldest waiting job was created, in seconds since the epoch; None without one."""
        (row,) = self._database.read("SELECT min(created) AS created FROM job WHERE status = 'queued'")
        created: float | None = row["created"]
        return created

    def unfinished_by_owner(self) -> dict[str | None, int]:
        """Number of queued and running jobs of each owner that has any."""
        rows = self._database.read(
            "SELECT owner, count(*) AS number FROM job WHERE status IN ('queued', 'in_progress') GROUP BY owner"
        )
        return {row["owner"]: row["number"] for row in rows}

    def claim(self, now: float, lease: float) -> Record | None:
        """Claims the first waiting job until `lease`; None if no job waits. Times are in seconds since the epoch."""
        # Most calls find no job. Reading first spares them the wait for the write lock.
        if not self._database.read("SELECT 1 FROM job WHERE status = 'queued' LIMIT 1"):
            return None
        with self._database.writing() as connection:
            claimed = connection.execute(_CLAIM, (uuid.uuid4().hex, lease, now)).fetchall()
            rows = [connection.execute(_RECORDS + "WHERE id = ?", (row["id"],)).fetchone() for row in claimed]
        return _record(rows[0]) if rows else None

    def holds(self, attempt: Record) -> bool:
        """Whether the job is still claimed by this attempt."""
        statement = "SELECT 1 FROM job WHERE id = ? AND claim = ?"
        return bool(self._database.read(statement, attempt.id, attempt.claim))

    # These three are not synced: no client relies on what they write.

    def renew(self, attempt: Record, lease: float) -> bool:
        """Extends the lease to a time in seconds since the epoch."""
        return self._database.change(_RENEW, lease, attempt.id, attempt.claim, synced=False)

    def advance(self, attempt: Record, progress: Progress) -> None:
        """Stores the progress."""
        changes = progress.stage, progress.share, progress.position
        self._database.change(_ADVANCE, *changes, attempt.id, attempt.claim, synced=False)

    def note_memory(self, attempt: Record, share: float) -> None:
        """Stores the used share of the memory limit, from 0 to 1."""
        self._database.change(_NOTE_MEMORY, share, attempt.id, attempt.claim, synced=False)

    def note_error(self, attempt: Record, error: Failure) -> None:
        """Stores the error of an attempt after which the job may be tried again."""
        self._database.change(_NOTE_ERROR, json.dumps(asdict(error)), attempt.id, attempt.claim)

    def queue(self, attempt: Record, attempts: int, alone: bool) -> bool:
        """Ends an attempt and puts the job at the end of the queue."""
        return self._database.change(_QUEUE, attempts, alone, attempt.id, attempt.claim)

    def complete(self, attempt: Record, finished: float, transcript: Transcript) -> bool:
        """Stores the transcript and ends the job; `finished` is in seconds since the epoch."""
        return self._finish(_COMPLETE, attempt.id, finished, _dumped(transcript), attempt.id, attempt.claim)

    def fail(self, attempt: Record, finished: float, error: Failure) -> bool:
        """Ends the job with an error; `finished` is in seconds since the epoch."""
        return self._finish(_FAIL, attempt.id, finished, json.dumps(asdict(error)), attempt.id, attempt.claim)

    def cancel(self, job_id: str) -> bool:
        """Cancels a job if it is unfinished, and returns whether it was."""
        return self._finish(_CANCEL, job_id, job_id)

    def _finish(self, statement: str, job_id: str, *parameters: object) -> bool:
        with self._database.writing() as connection:
            done = connection.execute(statement, parameters).rowcount > 0
            if done:
                earlier_jobs.hide(connection, job_id)
        return done

    def transcript(self, job_id: str) -> Transcript | None:
        """A job's transcript; None if it has none."""
        rows = self._database.read("SELECT transcript FROM job WHERE id = ?", job_id)
        return _loaded(rows[0]["transcript"]) if rows and rows[0]["transcript"] is not None else None

    def forget(self, job_id: str) -> None:
        """Deletes a job. Raises OSError if the recording cannot be deleted; the whole job is then kept."""
        self.delete_audio(job_id)
        with self._database.writing() as connection:
            _delete(connection, job_id)
        with suppress(FileNotFoundError):  # another server with the same folder may have deleted it
            shutil.rmtree(self.folder / job_id)

    def _take_over_earlier(self, connection: Connection) -> None:
        """Applies the changes that an earlier version made to the jobs of this folder (see `earlier_jobs`)."""
        earlier_jobs.create_tables(connection)
        earlier_jobs.empty_queue(connection)
        earlier = earlier_jobs.records(connection)
        known = {row["id"]: row["status"] for row in connection.execute("SELECT id, status FROM job")}
        unfinished = {job_id for job_id, status in known.items() if status in UNFINISHED}
        # That version deletes the folder with the job.
        deleted = (known.keys() | earlier.keys()) - self.ids()
        for job_id in deleted:
            _delete(connection, job_id)
        for job_id, record in earlier.items():
            if record is None or job_id in deleted:
                continue
            if job_id not in known or (job_id in unfinished and record.status not in UNFINISHED):
                found = earlier_jobs.transcript(connection, job_id)
                connection.execute(_INSERT, _row(record) | {"transcript": found})
        for row in connection.execute(_RECORDS + "WHERE status IN ('queued', 'in_progress')").fetchall():
            earlier_jobs.show(connection, _record(row))


def _delete(connection: Connection, job_id: str) -> None:
    connection.execute("DELETE FROM job WHERE id = ?", (job_id,))
    earlier_jobs.hide(connection, job_id)


def _record(row: Row) -> Record:
    stored = dict(row)
    request = replace(_json_of(JobRequest).validate_json(stored.pop("request")), owner=stored.pop("owner"))
    error, alone = stored.pop("error"), bool(stored.pop("alone"))
    return Record(request=request, error=Failure(**json.loads(error)) if error else None, alone=alone, **stored)


def _row(record: Record) -> dict[str, Any]:
    stored = {name: value for name, value in vars(record).items() if name not in ("request", "error")}
    return stored | {
        "owner": record.request.owner,
        "request": _json_of(JobRequest).dump_json(record.request, exclude={"owner"}).decode(),
        "error": json.dumps(asdict(record.error)) if record.error else None,
        "transcript": None,
    }


def _dumped(transcript: Transcript) -> bytes:
    """One line of JSON per segment: pydantic holds the GIL while it serializes or parses a document."""
    head = _json_of(Transcript).dump_json(replace(transcript, segments=()))
    return b"\n".join([head, *map(_json_of(Segment).dump_json, transcript.segments)])


def _loaded(stored: bytes) -> Transcript:
    head, *segments = stored.split(b"\n")
    transcript: Transcript = _json_of(Transcript).validate_json(head)
    return replace(transcript, segments=[*transcript.segments, *map(_json_of(Segment).validate_json, segments)])


@cache
def _json_of(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
