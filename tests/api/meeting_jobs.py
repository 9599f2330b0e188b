"""Jobs of WhisperX with speakers, and what a client that asks for them sees."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

Job = dict[str, Any]

# No alignment model is to be had for the demo: a stage "alignment" would follow.
STAGES = ("decoding", "speakers", "text")
FINISHED = ("completed", "failed", "cancelled")
_ASK_SECONDS = 0.3


class MeetingJobs:
    """`patience` is how long anything is waited for, in seconds."""

    def __init__(self, http: httpx.Client, patience: float) -> None:
        self._http = http
        self._patience = patience

    def submit(self, recording: Path) -> str:
        """The address of a new job."""
        answer = self._http.post(
            "/transcribe",
            files={"file": (recording.name, recording.read_bytes())},
            data={"diarize": "true", "language": "en", "min_speakers": "2"},
            headers={"prefer": "respond-async"},
        )
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    def watch(self, address: str, until: Callable[[Job], bool], patience: float | None = None) -> list[Job]:
        """The job as it was seen time after time; the last is as it was waited for. Its server may die meanwhile."""
        seen: list[Job] = []
        deadline = time.monotonic() + (patience or self._patience)
        while time.monotonic() < deadline:
            try:
                answer = self._http.get(address)
            except httpx.TransportError:
                answer = httpx.Response(502)
            if answer.status_code == 200:
                seen.append(answer.json())
                if until(seen[-1]):
                    return seen
            time.sleep(_ASK_SECONDS)
        raise AssertionError(f"waited in vain, last for {seen[-1:]}")

    def in_stage(self, address: str, stage: str, after: int = 0) -> Job:
        """The job in a stage of an attempt that began after a moment, in seconds since the epoch."""

        def there(job: Job) -> bool:
            assert job["status"] not in FINISHED, job
            return job.get("stage") == stage and int(job["started_at"]) > after

        return self.watch(address, there)[-1]

    def cancel(self, address: str) -> None:
        answer = self._http.delete(address)
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def finished(job: Job) -> bool:
    return job["status"] in FINISHED


def check_course(seen: Sequence[Job]) -> None:
    """One attempt: stages follow each other, and progress rises from one to the next."""
    stages = [STAGES.index(job["stage"]) for job in seen if "stage" in job]
    assert stages == sorted(stages), stages
    progress = [job["progress"] for job in seen]
    assert progress == sorted(progress)
    assert all(0 <= share <= 1 for share in progress)
