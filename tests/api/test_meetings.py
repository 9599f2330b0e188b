"""A conversation as a job of WhisperX. tests/meetings has what only shows on one of an hour."""

import httpx
import pytest

from tests.api.conftest import SPEECH
from tests.api.meeting_jobs import MeetingJobs, check_course, finished

CONVERSATION = SPEECH / "pyannote/sample.wav"


@pytest.fixture
def jobs(services: dict[str, httpx.Client]) -> MeetingJobs:
    return MeetingJobs(services["whisperx"], patience=300)


def test_stages_follow_each_other_and_progress_rises(jobs: MeetingJobs) -> None:
    seen = jobs.watch(jobs.submit(CONVERSATION), finished)
    check_course(seen)
    assert {"speakers", "text"} & {job.get("stage") for job in seen}
    done = seen[-1]
    assert (done["status"], done["progress"]) == ("completed", 1)
    assert "stage" not in done
    assert len({segment["speaker"] for segment in done["result"]["segments"]} - {"UNKNOWN"}) == 2


def test_a_cancelled_job_makes_way_for_the_next(jobs: MeetingJobs) -> None:
    first, second = jobs.submit(CONVERSATION), jobs.submit(CONVERSATION)
    jobs.watch(first, lambda job: job["status"] == "in_progress")
    jobs.cancel(first)
    assert jobs.watch(second, finished)[-1]["status"] == "completed"
    assert jobs.watch(first, finished)[-1]["status"] == "cancelled"
