"""Who speaks when, with the guide's own request on 30 s of two speakers."""

from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.audio import TranscriptionDiarized

from testbed.diarization_error_rate import Turn, diarization_error_rate, turns_of
from testbed.word_error_rate import word_error_rate
from tests.whisperx_api.conftest import Recording

SAMPLE = "pyannote/sample.wav"


@pytest.fixture(scope="module")
def sample(recordings: dict[str, Recording]) -> Recording:
    return recordings[SAMPLE]


@pytest.fixture(scope="module")
def answer(http: httpx.Client, sample: Recording) -> dict[str, Any]:
    """The guide's client: a file and these three fields, and nothing else."""
    with sample.path.open("rb") as file:
        data = {"model": "base", "language": "en", "diarize": "true"}
        response = http.post("/transcribe", files={"file": file}, data=data)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_two_speakers_at_the_right_times(answer: dict[str, Any], sample: Recording) -> None:
    found = [Turn(segment["start"], segment["end"], segment["speaker"]) for segment in answer["segments"]]
    assert len({turn.speaker for turn in found}) == 2
    assert diarization_error_rate(turns_of(sample.path.with_suffix(".rttm")), found) < 0.10


def test_the_answer_is_the_guide_s(answer: dict[str, Any]) -> None:
    assert answer["language"] == "en"
    for segment in answer["segments"]:
        assert {"start", "end", "text", "speaker"} <= segment.keys()
        assert segment["speaker"].startswith("SPEAKER_")
        assert 0 <= segment["start"] < segment["end"] <= 30.5
    starts = [segment["start"] for segment in answer["segments"]]
    assert starts == sorted(starts)


def test_no_text_is_lost(http: httpx.Client, answer: dict[str, Any], sample: Recording) -> None:
    with sample.path.open("rb") as file:
        plain = http.post("/transcribe", files={"file": file}, data={"model": "base", "language": "en"}).json()
    assert all("speaker" not in segment for segment in plain["segments"])
    words = " ".join(segment["text"] for segment in plain["segments"]).split()
    assert " ".join(segment["text"] for segment in answer["segments"]).split() == words
    assert sample.text is not None
    assert word_error_rate(sample.text, " ".join(words)) < 0.25


def test_openai_s_client_with_diarized_json(client: OpenAI, sample: Recording) -> None:
    body = client.audio.transcriptions.create(
        model="whisper-1", file=sample.path, response_format="diarized_json", chunking_strategy="auto"
    )
    assert isinstance(body, TranscriptionDiarized)
    assert {segment.speaker for segment in body.segments} == {"SPEAKER_00", "SPEAKER_01"}


def test_one_speaker_when_the_client_says_so(http: httpx.Client, sample: Recording) -> None:
    with sample.path.open("rb") as file:
        data = {"language": "en", "diarize": "true", "num_speakers": "1"}
        body = http.post("/transcribe", files={"file": file}, data=data).json()
    assert {segment["speaker"] for segment in body["segments"]} == {"SPEAKER_00"}
