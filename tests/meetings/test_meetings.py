"""A meeting of 64 minutes with speakers as a job of WhisperX, through the public endpoint of the demo.

Only of a recording of that length each stage lasts long enough to be met: to cancel in it, to ask for something else,
to kill the server. What takes half an hour is for the night: `make test-meetings`, which `make test-all` runs.
"""

import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import SPEECH, Demo
from tests.api.long_recordings import joined
from tests.api.meeting_jobs import STAGES, Job, MeetingJobs, check_course, finished

SECONDS = 64 * 60
CONVERSATION = SPEECH / "pyannote/sample.wav"
VOICES = [CONVERSATION, SPEECH / "silero/test.wav", SPEECH / "moonshine/two_cities.wav"]

# Half as fast as speech. A job whose server was killed is tried again after half a minute.
PATIENCE = 2 * SECONDS
# What a cancelled job may still do, and what the next one waits for; the rest of a stage takes minutes.
SOON = 45


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return joined(VOICES, SECONDS, tmp_path_factory.mktemp("meeting") / "meeting.ogg")


@pytest.fixture
def whisperx(services: dict[str, httpx.Client]) -> httpx.Client:
    return services["whisperx"]


@pytest.fixture
def jobs(whisperx: httpx.Client) -> MeetingJobs:
    return MeetingJobs(whisperx, PATIENCE)


def kill(demo: Demo) -> None:
    """As the kernel would; the next request starts the service again."""
    command = ["docker", "exec", demo.container, "docker", "kill", "whisperx"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancelled_job_ends_in_each_stage(jobs: MeetingJobs, meeting: Path, stage: str) -> None:
    """The next one begins, for which the first has to be over."""
    address = jobs.submit(meeting)
    jobs.in_stage(address, stage)
    following = jobs.submit(CONVERSATION)
    jobs.cancel(address)
    jobs.watch(following, lambda job: job["status"] != "queued", SOON)
    assert jobs.watch(following, finished)[-1]["status"] == "completed"


def test_a_request_goes_before_speakers_are_told_apart(
    jobs: MeetingJobs, whisperx: httpx.Client, meeting: Path
) -> None:
    address = jobs.submit(meeting)
    jobs.in_stage(address, "speakers")
    with CONVERSATION.open("rb") as file:
        answer = whisperx.post("/transcribe", files={"file": file}, data={"diarize": "true", "language": "en"})
    assert answer.status_code == 200
    assert "New Jersey" in answer.text
    assert jobs.watch(address, lambda _: True)[-1]["stage"] == "speakers", "the request did not wait for the end of it"
    jobs.cancel(address)


def test_a_job_outlives_two_kills(jobs: MeetingJobs, meeting: Path, demo: Demo) -> None:
    address = jobs.submit(meeting)
    began = 0
    for stage in ("text", "speakers"):
        began = jobs.in_stage(address, stage, after=began)["started_at"]
        kill(demo)
    last = jobs.in_stage(address, "decoding", after=began)
    seen = [last, *jobs.watch(address, finished)]
    assert seen[-1]["status"] == "completed", seen[-1].get("error")
    check_course(seen)
    check_transcript(seen[-1])


def check_transcript(job: Job) -> None:
    """It reaches to the end of the meeting, all the time, and tells people apart."""
    segments = job["result"]["segments"]
    assert segments[-1]["end"] > SECONDS - 60
    minutes = {int(segment["start"] // 60) for segment in segments}
    assert len(minutes) > 0.9 * SECONDS / 60
    assert len({segment["speaker"] for segment in segments} - {"UNKNOWN"}) >= 2


def test_a_job_that_is_there_whenever_its_server_dies_fails(jobs: MeetingJobs, meeting: Path, demo: Demo) -> None:
    address = jobs.submit(meeting)
    began = 0
    for stage in ("decoding", "speakers", "decoding"):
        began = jobs.in_stage(address, stage, after=began)["started_at"]
        kill(demo)
    failed = jobs.watch(address, finished)[-1]
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "too_many_attempts", failed["error"]
