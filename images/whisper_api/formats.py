"""A finished transcript in the five formats of OpenAI's API.

Sources: `CreateTranscriptionResponseJson` and `…VerboseJson` of OpenAI's API specification, WebVTT (W3C), and for SRT,
which has no specification, what players read.
"""

import math
from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from whisper_api.engine import Transcript

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
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


def render(
    transcript: Transcript, response_format: ResponseFormat, granularities: Collection[Granularity]
) -> dict[str, Any] | str:
    """A transcript as a JSON object, or as text; `granularities` say what verbose_json holds besides the text."""
    if response_format == "json":
        return TranscriptionJson(text=transcript.text, usage=_usage(transcript)).model_dump()
    if response_format == "verbose_json":
        return _verbose_json(transcript, granularities).model_dump(exclude_none=True)
    return _RENDERERS[response_format](transcript)


def response(
    transcript: Transcript, response_format: ResponseFormat, granularities: Collection[Granularity]
) -> Response:
    """The HTTP answer that holds what `render` gives."""
    content = render(transcript, response_format, granularities)
    if isinstance(content, dict):
        return JSONResponse(content)
    return Response(content, media_type="text/vtt" if response_format == "vtt" else "text/plain")


def _verbose_json(transcript: Transcript, granularities: Collection[Granularity]) -> TranscriptionVerboseJson:
    return TranscriptionVerboseJson(
        task=transcript.task,
        language=transcript.language,
        duration=transcript.duration,
        text=transcript.text,
        words=_words(transcript) if "word" in granularities else None,
        segments=_segments(transcript) if "segment" in granularities else None,
        usage=_usage(transcript),
    )


def _words(transcript: Transcript) -> list[TranscriptionWord]:
    return [TranscriptionWord(word=word.word.strip(), start=word.start, end=word.end) for word in transcript.words]


def _segments(transcript: Transcript) -> list[TranscriptionSegment]:
    return [
        TranscriptionSegment(
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
        for segment in transcript.segments
    ]


def _usage(transcript: Transcript) -> Usage:
    return Usage(seconds=math.ceil(transcript.duration))


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n" if transcript.text else ""


def _srt(transcript: Transcript) -> str:
    return "".join(f"{number}\n{cue}\n\n" for number, cue in enumerate(_cues(transcript, ","), start=1))


def _vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(f"{cue}\n\n" for cue in _cues(transcript, "."))


def _cues(transcript: Transcript, decimal_mark: str) -> Iterator[str]:
    for segment in transcript.segments:
        start, end = _clock(segment.start, decimal_mark), _clock(segment.end, decimal_mark)
        # "-->" in a cue's text would end it.
        yield f"{start} --> {end}\n{segment.text.strip().replace('-->', '->')}"


def _clock(seconds: float, decimal_mark: str) -> str:
    """Hours, minutes, seconds and milliseconds."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{decimal_mark}{milliseconds:03d}"


_RENDERERS: dict[str, Callable[[Transcript], str]] = {"text": _text, "srt": _srt, "vtt": _vtt}
