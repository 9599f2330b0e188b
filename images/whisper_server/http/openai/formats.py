"""A transcript as OpenAI's API presents it.

Sources: `CreateTranscriptionResponseJson`, `…VerboseJson` and `…DiarizedJson` of OpenAI's API specification.
"""

import math
from collections.abc import Collection, Iterator
from typing import Literal

from pydantic import BaseModel

from whisper_server.http.json_pieces import Granularity, object_pieces
from whisper_server.speech.transcript import UNKNOWN_SPEAKER, Transcript


class Usage(BaseModel):
    """Length of the recording in whole seconds, rounded up."""

    type: Literal["duration"] = "duration"
    seconds: int


class TranscriptionJson(BaseModel):
    text: str
    usage: Usage


class TranscriptionWord(BaseModel):
    """`probability`, between 0 and 1, is not in OpenAI's specification; faster-whisper-server and speaches have it."""

    word: str
    start: float
    end: float
    probability: float


class TranscriptionSegment(BaseModel):
    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class TranscriptionVerboseJson(BaseModel):
    """`language` is an ISO 639-1 code, as in the request. `words` and `segments` are there on request."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    words: list[TranscriptionWord] | None = None
    segments: list[TranscriptionSegment] | None = None
    usage: Usage


class DiarizedSegment(BaseModel):
    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str


class TranscriptionDiarizedJson(BaseModel):
    task: Literal["transcribe"] = "transcribe"
    duration: float
    text: str
    segments: list[DiarizedSegment]
    usage: Usage


def _json(transcript: Transcript, _: Collection[Granularity]) -> Iterator[str]:
    yield TranscriptionJson(text=transcript.text, usage=_usage(transcript)).model_dump_json()


def _verbose_json(transcript: Transcript, granularities: Collection[Granularity]) -> Iterator[str]:
    head = TranscriptionVerboseJson(
        task=transcript.task,
        language=transcript.language,
        duration=transcript.duration,
        text=transcript.text,
        usage=_usage(transcript),
    )
    return object_pieces(
        head,
        words=_words(transcript) if "word" in granularities else None,
        segments=_segments(transcript) if "segment" in granularities else None,
    )


def _words(transcript: Transcript) -> Iterator[TranscriptionWord]:
    for word in transcript.words:
        yield TranscriptionWord(
            word=word.word.strip(), start=word.start, end=word.end, probability=round(word.probability, 3)
        )


def _segments(transcript: Transcript) -> Iterator[TranscriptionSegment]:
    for segment in transcript.segments:
        yield TranscriptionSegment(
            id=segment.id,
            seek=segment.seek,
            start=segment.start,
            end=segment.end,
            text=segment.text,
            tokens=list(segment.tokens),
            temperature=segment.temperature,
            avg_logprob=segment.avg_logprob,
            compression_ratio=segment.compression_ratio,
            no_speech_prob=segment.no_speech_prob,
        )


def _diarized_json(transcript: Transcript, _: Collection[Granularity]) -> Iterator[str]:
    head = TranscriptionDiarizedJson(
        duration=transcript.duration, text=transcript.text, segments=[], usage=_usage(transcript)
    )
    segments = (
        DiarizedSegment(
            id=f"seg_{segment.id}",
            start=segment.start,
            end=segment.end,
            text=segment.text,
            speaker=segment.speaker or UNKNOWN_SPEAKER,
        )
        for segment in transcript.segments
    )
    return object_pieces(head, segments=segments)


def _usage(transcript: Transcript) -> Usage:
    return Usage(seconds=math.ceil(transcript.duration))


RENDERERS = {"json": _json, "verbose_json": _verbose_json, "diarized_json": _diarized_json}
