"""Who said what in meetings of 20, 64 and 180 minutes: memory, time, and whether the right people are found.

The server is in a container of its image with the memory that the role gives it, Whisper base in int8, the demo's
diarization pipeline. Recordings are joined of known voices (testbed/meetings.py), and asked for as jobs.
"""

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.rows import Row, above, below
from benchmarks.whisperx import CONVERSATION
from benchmarks.whisperx_container import CACHE, NAME, PORT, run
from testbed.diarization_error_rate import Turn, diarization_error_rate, turns_of
from testbed.meetings import write

PEOPLE = 5
SHORTEST = 5
GIBIBYTE = 1024**3 / 1e6
# Minutes, and what a meeting of so many may take, in MB.
LIMITS = {SHORTEST: 1.4 * GIBIBYTE, 20: 1.4 * GIBIBYTE, 64: 1.4 * GIBIBYTE, 180: 1.6 * GIBIBYTE}
OTHERS = (2, 3, 8)
TIMED, SPEED = 64, 8
MEMORY = "2g"
"""`whisperx_memory` of the role."""
FORM = {"language": "en", "diarize": "true"}


@dataclass(frozen=True)
class Finished:
    """What a job took, the most memory in each stage in MB and the time in seconds, and who speaks when."""

    by_stage: dict[str, float]
    seconds: float
    turns: list[Turn]

    @property
    def peak(self) -> float:
        return max(self.by_stage.values())


class Server:
    """The server in its container."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def job(self, recording: Path) -> Finished:
        """Raises RuntimeError when the job fails."""
        start = time.monotonic()
        with recording.open("rb") as file:
            headers = {"Prefer": "respond-async"}
            answer = self._http.post("/transcribe", files={"file": file}, data=FORM, headers=headers)
        address = f"/jobs/{answer.raise_for_status().json()['id']}"
        by_stage: dict[str, float] = {}
        while (job := self._http.get(address).raise_for_status().json())["status"] in ("queued", "in_progress"):
            stage = job.get("stage", "decoding")
            by_stage[stage] = max(by_stage.get(stage, 0.0), self.megabytes())
            time.sleep(1)
        if job["status"] != "completed":
            raise RuntimeError(f"{recording.name} failed: {job}")
        segments = job["result"]["segments"]
        return Finished(
            by_stage,
            time.monotonic() - start,
            [Turn(segment["start"], segment["end"], segment["speaker"]) for segment in segments],
        )

    def megabytes(self) -> float:
        """Memory of all processes of the container: what two share counts half in each, mapped files count."""
        rollups = run("docker", "exec", NAME, "sh", "-c", _EVERY_PROCESS)
        return sum(int(kilobytes) for kilobytes in re.findall(r"^Pss:\s+(\d+)", rollups, re.MULTILINE)) * 1024 / 1e6


# Processes that end meanwhile are left out (proc(5)).
_EVERY_PROCESS = "for process in /proc/[0-9]*; do cat $process/smaps_rollup; done 2>/dev/null; echo"


@contextmanager
def serving() -> Iterator[Server]:
    """The server in a fresh container, limited as the role limits it."""
    names = {"WHISPERX_CONTAINER": NAME, "WHISPERX_PORT": PORT}
    limits = ("--memory", MEMORY, "--memory-swap", MEMORY, "--cpus", "2", "--env", "WHISPER__UPLOAD_LIMIT=1G")
    run("testbed/whisperx", "up", *limits, **names)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=600) as http:
            yield Server(http)
    finally:
        run("testbed/whisperx", "down", **names)


def memory_for_thirty_seconds() -> Row:
    print("30 s …", flush=True)
    with serving() as server:
        peak = server.job(CONVERSATION).peak
    return below("30 s with diarization: peak memory", peak, "MB", 800)


def measured(folder: Path, people: int, minutes: int) -> tuple[Finished, float, int]:
    """What a meeting takes on a fresh server, its diarization error rate in percent, and how many were found."""
    print(f"{people} people, {minutes} minutes …", flush=True)
    sound, turns = write(folder, people, minutes)
    with serving() as server:
        finished = server.job(sound)
    sound.unlink()
    stages = ", ".join(f"{stage} {peak:.0f} MB" for stage, peak in finished.by_stage.items())
    error = 100 * diarization_error_rate(turns_of(turns), finished.turns)
    found = len({turn.speaker for turn in finished.turns})
    # A run of 40 minutes may be interrupted.
    print(f"  {finished.seconds:.0f} s; {stages}; {found} found, {error:.1f} % error", flush=True)
    return finished, error, found


def measure(*, warm: bool) -> list[Row]:
    """Measure all meetings; ``warm`` changes nothing here."""
    del warm
    run("testbed/whisperx", "build")
    rows = [memory_for_thirty_seconds()]
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        folder = Path(scratch)
        found = {minutes: measured(folder, PEOPLE, minutes) for minutes in LIMITS}
        others = {people: measured(folder, people, 20)[2] for people in OTHERS}
    for minutes, (finished, error, number) in found.items():
        name = f"{PEOPLE} speakers, {minutes} minutes"
        rows += [
            below(f"{name}: peak memory", finished.peak, "MB", LIMITS[minutes]),
            below(f"{name}: error of the number of speakers ({number} found)", abs(number - PEOPLE), "", 2),
            below(f"{name}: diarization error rate", error, "%", found[SHORTEST][1] + 5),
        ]
        if minutes == TIMED:
            rows.append(above(f"{name}: speed relative to real time", 60 * minutes / finished.seconds, "x", SPEED))
    rows += [
        below(
            f"{people} speakers, 20 minutes: error of the number of speakers ({number} found)",
            abs(number - people),
            "",
            2,
        )
        for people, number in others.items()
    ]
    ratio = found[180][0].peak / found[20][0].peak
    return [*rows, below("peak memory of 180 minutes relative to 20 minutes", ratio, "", 1.25)]
