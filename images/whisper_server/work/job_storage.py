"""Where jobs are kept: in huey's storage, but for their audio, which lies in the data folder under the job's id."""

import shutil
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter

from whisper_server.process.settings import Settings
from whisper_server.speech.transcript import Segment, Transcript
from whisper_server.work.job_records import UNFINISHED, Record

if TYPE_CHECKING:
    from huey import Huey

# Moments, in seconds since the epoch: when a job was cancelled, when its worker was last alive, when that was missed.
Mark = Literal["cancelled", "lease", "lost"]


class JobStorage:
    """Records, marks, transcripts and recordings by the job's id.

    A job's folder is the first thing to be made and the last to be deleted, and without a record there is no job: a
    server that is killed leaves a job, or a folder without a record.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data_folder / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.huey = _huey(settings)
        # Makes reading and writing a record one step.
        self.lock = threading.RLock()

    def ids(self) -> list[str]:
        """Names of the folders: those of jobs, and of what is added or deleted at the moment."""
        return [path.name for path in self.folder.iterdir()]

    def audio(self, job_id: str) -> Path:
        return self.folder / job_id / "audio"

    def last_written(self, job_id: str) -> float:
        """When something was written into a job's folder, in seconds since the epoch; 0 where there is none."""
        place = self.folder / job_id
        with suppress(FileNotFoundError):
            return max(path.stat().st_mtime for path in (place, *place.iterdir()))
        return 0.0

    def add(self, job_id: str, audio: Path, record: Record) -> None:
        (self.folder / job_id).mkdir()
        # The kernel copies it. An upload cannot be linked: `tempfile` opens its unnamed files with O_EXCL, which
        # forbids that (open(2), O_TMPFILE).
        shutil.copyfile(audio, self.audio(job_id))
        self._put(job_id, record)

    def record(self, job_id: str) -> Record | None:
        stored: str | None = self.huey.get(_key(job_id, "record"), peek=True)
        if stored is None:
            return None
        record = Record.model_validate_json(stored)
        if record.status in UNFINISHED and self.mark(job_id, "cancelled") is not None:
            return record.model_copy(update={"status": "cancelled"})
        return record

    def records(self) -> Mapping[str, Record]:
        return {job_id: record for job_id in self.ids() if (record := self.record(job_id)) is not None}

    def holds(self, job_id: str) -> bool:
        """Whether there is such a job, finished or not."""
        return self.huey.get(_key(job_id, "record"), peek=True) is not None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether nobody wants a job any more; its client may have forgotten it already."""
        return self.mark(job_id, "cancelled") is not None or not self.holds(job_id)

    def update(self, job_id: str, **changes: object) -> None:
        """Changes fields of a record, if there is one."""
        with self.lock:
            stored = self.huey.get(_key(job_id, "record"), peek=True)
            if stored is not None:
                self._put(job_id, Record.model_validate_json(stored).model_copy(update=changes))

    def transcript(self, job_id: str) -> Transcript | None:
        stored: bytes | None = self.huey.get(_key(job_id, "transcript"), peek=True)
        if stored is None:
            return None
        head, *segments = stored.split(b"\n")
        transcript: Transcript = _json_of(Transcript).validate_json(head)
        return replace(transcript, segments=[*transcript.segments, *map(_json_of(Segment).validate_json, segments)])

    def put_transcript(self, job_id: str, transcript: Transcript) -> None:
        """Stores a line of JSON for each segment: pydantic keeps all other threads waiting while it writes or reads."""
        head = _json_of(Transcript).dump_json(replace(transcript, segments=()))
        self.huey.put(
            _key(job_id, "transcript"), b"\n".join([head, *map(_json_of(Segment).dump_json, transcript.segments)])
        )

    def mark(self, job_id: str, mark: Mark) -> float | None:
        moment: float | None = self.huey.get(_key(job_id, mark), peek=True)
        return moment

    def set_mark(self, job_id: str, mark: Mark, moment: float) -> None:
        self.huey.put(_key(job_id, mark), moment)

    def set_first_mark(self, job_id: str, mark: Mark, moment: float) -> bool:
        """Whether nobody had set it before, of all servers."""
        first: bool = self.huey.put_if_empty(_key(job_id, mark), moment)
        return first

    def delete_mark(self, job_id: str, mark: Mark) -> None:
        self.huey.delete(_key(job_id, mark))

    def forget(self, job_id: str) -> None:
        """Deletes all of a job. Raises OSError when the recording cannot be deleted: all of the job is kept then."""
        with self.lock:
            self.audio(job_id).unlink(missing_ok=True)
            for kind in ("record", "transcript", "lease", "lost", "cancelled"):
                self.huey.delete(_key(job_id, kind))
            with suppress(FileNotFoundError):  # another server with the same folder may have been quicker
                shutil.rmtree(self.folder / job_id)

    def _put(self, job_id: str, record: Record) -> None:
        self.huey.put(_key(job_id, "record"), record.model_dump_json())


def _huey(settings: Settings) -> "Huey":
    if settings.job_store:
        from huey import RedisHuey

        return RedisHuey("whisper", url=settings.job_store)
    # huey imports redis wherever it is installed, and that takes a third of a server's start.
    sys.modules.setdefault("redis", None)  # type: ignore[arg-type]  # the documented way to forbid an import
    try:
        from huey import SqliteHuey
    finally:
        if sys.modules["redis"] is None:
            del sys.modules["redis"]
    # fsync: a job that was accepted outlives a power cut.
    return SqliteHuey("whisper", filename=str(settings.data_folder / "jobs.sqlite3"), fsync=True)


@cache
def _json_of(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _key(job_id: str, kind: Any) -> str:
    return f"job.{job_id}.{kind}"
