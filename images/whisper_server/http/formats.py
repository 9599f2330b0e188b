"""A finished transcript in every format that is answered.

Sources: `CreateTranscriptionResponseJson`, `…VerboseJson` and `…DiarizedJson` of OpenAI's API specification.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal

from fastapi.responses import Response
from pydantic import BaseModel

from whisper_server.http import text_formats
from whisper_server.speech.transcript import UNKNOWN_SPEAKER, Segment, Timing, Transcript

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]

# `segments` is the JSON of `POST /transcribe`.
Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json", "segments", "txt", "tsv"]
Granularity = Literal["word", "segment"]


class Usage(BaseModel):
    """Length of the recording in whole seconds, rounded up."""

    type: Literal["duration"] = "duration"
    seconds: int


class TranscriptionJson(BaseModel):
    text: str
    usage: Usage


class TranscriptionWord(BaseModel):
    word: str
    start: float
    end: float


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
    """`language` is an ISO 639-1 code, as in the request. `words` and `segments` are there when asked for."""

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


class SpokenWord(BaseModel):
    word: str
    start: float
    end: float
    score: float
    speaker: str | None = None


class SpokenSegment(BaseModel):
    """`speaker` is there when speakers were told apart, "UNKNOWN" where none could be told; `words` when asked for."""

    start: float
    end: float
    text: str
    speaker: str | None = None
    words: list[SpokenWord] | None = None


class SpokenSegments(BaseModel):
    """`language` is an ISO 639-1 code. `timing` says how the times were found: `aligned` with the sound, from the
    decoder's `attention`, or as it was `decoded`."""

    segments: list[SpokenSegment]
    language: str
    timing: Timing


def is_json(response_format: Format) -> bool:
    """Whether what `render` gives is a JSON object."""
    return response_format in _JSON


def render(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> str:
    """A transcript as a JSON object, or as text; 12 hours take a second.

    `granularities` say what verbose_json holds besides the text, and whether the segments of /transcribe hold words.
    """
    return "".join(pieces(transcript, response_format, granularities))


def pieces(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> Iterable[str]:
    """What `render` gives, in parts."""
    if response_format in _JSON:
        return _JSON[response_format](transcript, granularities)
    return (text_formats.RENDERERS[response_format](transcript),)


def response(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> Response:
    """The HTTP answer that holds what `render` gives. Not for the event loop's thread."""
    media_type = "application/json" if is_json(response_format) else _MEDIA_TYPES.get(response_format, "text/plain")
    answer = Response(render(transcript, response_format, granularities), media_type=media_type)
    say_what_was_shortened(answer, transcript.shortened)
    return answer


def say_what_was_shortened(answer: Response, fields: Sequence[str] | None) -> None:
    """Names the form fields of which not everything was used in a header of the answer, which has none otherwise."""
    if fields:
        answer.headers["x-whisper-shortened"] = ", ".join(fields)


def _object(head: BaseModel, **lists: Iterable[BaseModel] | None) -> Iterator[str]:
    """The JSON of an object whose long lists come last, in pieces of one item.

    pydantic and `json` keep all other threads waiting until they have written the last byte of what they were given.
    """
    yield head.model_dump_json(exclude=set(lists))[:-1]
    for name, items in lists.items():
        if items is None:
            continue
        separator = f',"{name}":['
        for item in items:
            yield separator + item.model_dump_json(exclude_none=True)
            separator = ","
        yield "]" if separator == "," else f"{separator}]"
    yield "}"


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
    return _object(
        head,
        words=_words(transcript) if "word" in granularities else None,
        segments=_segments(transcript) if "segment" in granularities else None,
    )


def _words(transcript: Transcript) -> Iterator[TranscriptionWord]:
    for word in transcript.words:
        yield TranscriptionWord(word=word.word.strip(), start=word.start, end=word.end)


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
    return _object(head, segments=segments)


def _spoken_segments(transcript: Transcript, granularities: Collection[Granularity]) -> Iterator[str]:
    segments = (
        SpokenSegment(
            start=segment.start,
            end=segment.end,
            text=segment.text.strip(),
            speaker=segment.speaker,
            words=_spoken_words(segment) if "word" in granularities else None,
        )
        for segment in transcript.segments
    )
    head = SpokenSegments(segments=[], language=transcript.language, timing=transcript.timing)
    return _object(head, segments=segments)


def _spoken_words(segment: Segment) -> list[SpokenWord]:
    return [
        SpokenWord(
            word=word.word.strip(),
            start=word.start,
            end=word.end,
            score=round(word.probability, 3),
            speaker=word.speaker,
        )
        for word in segment.words
    ]


def _usage(transcript: Transcript) -> Usage:
    return Usage(seconds=math.ceil(transcript.duration))


_JSON: dict[str, Callable[[Transcript, Collection[Granularity]], Iterator[str]]] = {
    "json": _json,
    "verbose_json": _verbose_json,
    "diarized_json": _diarized_json,
    "segments": _spoken_segments,
}
_MEDIA_TYPES = {"vtt": "text/vtt", "tsv": "text/tab-separated-values"}
