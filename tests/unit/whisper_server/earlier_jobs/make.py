"""Makes NAME.sql and NAME-back.sql by real versions: `python make.py NAME IMAGES`, with huey and what a server imports.

IMAGES is the folder of that name of a version with huey (`git archive`). It makes jobs in every state (NAME.sql), this
version takes them over and goes on, then that version again (NAME-back.sql). The first line of each file is a comment:
the jobs' ids by name, and their folders, with whether they hold a recording.
"""

import importlib.util
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
THESE_IMAGES = HERE.parents[3] / "images"

# Where the names below are, in versions with huey and in this one.
MODULES = (
    "whisper_api.engine",
    "whisper_api.errors",
    "whisper_api.job_store",
    "whisper_api.settings",
    "whisper_server.process.settings",
    "whisper_server.speech.options",
    "whisper_server.speech.transcript",
    "whisper_server.work.job_records",
    "whisper_server.work.job_store",
)


class Site:
    """A data folder, and the job store of the version whose modules are imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = folder / "names.json"
        self.ids: dict[str, str] = json.loads(self.names.read_text()) if self.names.exists() else {}
        package = "whisper_server" if importlib.util.find_spec("whisper_server") else "whisper_api"
        self.known: dict[str, Any] = {}
        for name in (name for name in MODULES if name.startswith(package)):
            self.known |= vars(importlib.import_module(name))
        self.store = self.known["JobStore"](self.known["Settings"](data_folder=folder))

    def add(self, name: str, owner: str | None = "bob", **options: Any) -> None:
        upload = self.folder / "upload"
        upload.write_bytes(f"sound of {name}".encode())
        asked = self.known["Options"](model="scripted/base", **options)
        kind = self.known.get("JobRequest") or self.known["Order"]
        job_request = kind(asked, "verbose_json", ["word"], f"request-{name}", owner)
        self.ids[name] = self.store.add(upload, job_request).id
        self.names.write_text(json.dumps(self.ids))
        upload.unlink()

    def transcript(self) -> Any:
        word, segment = self.known["Word"], self.known["Segment"]
        words = [word(0.0, 0.4, " Good", 0.9), word(0.4, 1.0, " morning.", 0.8, "SPEAKER_00")]
        segments = [
            segment(0, 0, 0.0, 1.0, " Good morning.", [50364, 7, 50414], 0.0, -0.25, 1.5, 0.01, words),
            segment(1, 0, 1.0, 2.0, " Fine\u2028day.", [50364], 0.0, -0.25, 1.5, 0.01),
        ]
        return self.known["Transcript"]("transcribe", "scripted/base", "en", 2.0, 1.0, segments, "aligned")

    def error(self) -> Any:
        return self.known["Error"](
            message="cut short", type="invalid_request_error", param="file", code="undecodable_audio"
        )

    def taken(self, names: Iterable[str]) -> None:
        """The version with huey: workers took these jobs from the queue."""
        others = []
        while (task := self.store.huey.dequeue()) is not None:
            if task.args[0] not in [self.ids[name] for name in names]:
                others.append(task.args[0])
        for job_id in others:
            self.store._enqueue(job_id)


def deploy(site: Site) -> None:
    """The version with huey, deployed first."""
    site.store.perform_with(lambda _: None)
    site.add("waiting", "alice", language="fr", speakers=site.known["Speakers"](number=2), align=True)
    site.add("second", None)
    for name in ("running", "completed", "failed", "cancelled", "deleted", "stopped"):
        site.add(name)
    site.taken(["running", "completed", "failed", "stopped"])
    for name in ("running", "completed", "failed", "stopped"):
        site.store.start(site.ids[name])
    site.store.complete(site.ids["completed"], site.transcript())
    site.store.fail(site.ids["failed"], site.error())
    site.store.give_back(site.ids["stopped"])
    for name in ("cancelled", "deleted", "deleted"):
        site.store.cancel(site.ids[name])


def upgrade(site: Site) -> None:
    """This version: completes a job of the other's and one of its own, and takes more."""
    for name in ("new completed", "new waiting", "new running", "completed back", "failed back", "cancelled back"):
        site.add(name)
    site.add("deleted back")
    attempts = [site.store.claim() for _ in range(site.store.counts()["queued"])]
    for attempt in attempts:
        name = next(name for name, job_id in site.ids.items() if job_id == attempt.id)
        if name in ("second", "new completed"):
            assert site.store.complete(attempt, site.transcript())
        elif name != "new running":
            site.store.give_back(attempt)


def roll_back(site: Site) -> None:
    """The version with huey again: finds what waits, offers it to workers, and ends some of it."""
    site.store.perform_with(lambda _: None)
    waiting = {"waiting", "stopped", "running", "new waiting", "new running"}
    ending = {"completed back", "failed back", "cancelled back", "deleted back"}
    found = {job.id for job in site.store.all() if job.status == "queued"}
    assert found == {site.ids[name] for name in waiting | ending}
    clock = time.time
    time.time = lambda: clock() + 31
    site.store.tend()
    time.time = clock
    assert found == {task.args[0] for task in site.store.huey.pending()}, "it does them"
    site.taken(ending)
    for name in ("completed back", "failed back"):
        site.store.start(site.ids[name])
    site.store.complete(site.ids["completed back"], site.transcript())
    site.store.fail(site.ids["failed back"], site.error())
    for name in ("cancelled back", "deleted back", "deleted back"):
        site.store.cancel(site.ids[name])
    # A result of its own that a client deletes.
    site.store.cancel(site.ids["failed"])


STAGES: dict[str, Callable[[Site], None]] = {stage.__name__: stage for stage in (deploy, upgrade, roll_back)}


def dump(folder: Path, target: Path) -> None:
    folders = {path.name: (path / "audio").exists() for path in sorted((folder / "jobs").iterdir())}
    head = {"names": json.loads((folder / "names.json").read_text()), "folders": folders}
    with closing(sqlite3.connect(folder / "jobs.sqlite3")) as database:
        target.write_text("\n".join([f"-- {json.dumps(head)}", *database.iterdump(), ""]))


def main(name: str, images: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for stage, modules in (("deploy", images), ("upgrade", str(THESE_IMAGES)), ("roll_back", images)):
            command = [sys.executable, __file__, stage, modules, folder]
            subprocess.run(command, check=True)
            if stage != "upgrade":
                dump(Path(folder), HERE / f"{name}{'-back' if stage == 'roll_back' else ''}.sql")


if __name__ == "__main__":
    if sys.argv[1] in STAGES:
        sys.path.insert(0, sys.argv[2])
        STAGES[sys.argv[1]](Site(Path(sys.argv[3])))
    else:
        main(*sys.argv[1:])
