"""Who speaks when, with the guide's own request on 30 s of two speakers."""

from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.audio import TranscriptionDiarized

from tests.api.accuracy import word_error_rate
from tests.whisperx_api.conftest import Recording
from tests.whisperx_api.diarization_error import Turn, diarization_error_rate, turns_of
from tests.whisperx_api.in_the_image import in_the_image

SAMPLE = "pyannote/sample.wav"

PARTS = """
import json, sys
import pandas
from whisper_api.engine import Segment, Word
from whisperx_engine.speakers import by_speaker

turns, words = json.load(sys.stdin)
turns = pandas.DataFrame(turns, columns=["start", "end", "speaker"])
words = [Word(word=word, start=start, end=end, probability=1) for word, start, end in words]
numbers = {"temperature": 0, "avg_logprob": 0, "compression_ratio": 1, "no_speech_prob": 0}
text = "".join(word.word for word in words)
segment = Segment(0, 0, words[0].start, words[-1].end, text, tokens=(), words=words, **numbers)
print(json.dumps([[part.speaker, part.text] for part in by_speaker(segment, turns)]))
"""


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


def test_words_at_which_two_speak_stay_in_their_sentence() -> None:
    turns = [(21.8, 28.6, "SPEAKER_01"), (27.8, 29.9, "SPEAKER_00")]
    words = [(" Oh,", 28.4, 28.44), (" I", 28.44, 28.52), (" don't", 28.52, 28.7), (" hear", 28.7, 28.84)]
    assert in_the_image(PARTS, [turns, words]) == [["SPEAKER_00", " Oh, I don't hear"]]


def test_a_sentence_ends_where_its_speaker_does() -> None:
    turns = [(0.0, 2.0, "SPEAKER_01"), (1.8, 4.0, "SPEAKER_00")]
    words = [(" Are", 0.5, 0.8), (" you?", 0.8, 1.5), (" Yes,", 2.1, 2.5), (" I", 2.5, 2.8), (" am.", 2.8, 3.9)]
    assert in_the_image(PARTS, [turns, words]) == [["SPEAKER_01", " Are you?"], ["SPEAKER_00", " Yes, I am."]]
