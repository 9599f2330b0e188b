"""A finished transcript in every format that is answered.

Sources: `CreateTranscriptionResponseJson`, `…VerboseJson` and `…DiarizedJson` of OpenAI's API specification, WebVTT
(W3C), and for SRT, TXT and TSV, which have no specification, what players read and what Whisper's command line writes.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from whisper_api.engine import UNKNOWN_SPEAKER, Segment, Timing, Transcript
from whisper_api.times import apart

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


def render(
    transcript: Transcript, response_format: Format, granularities: Collection[Granularity]
) -> dict[str, Any] | str:
    """A transcript as a JSON object, or as text.

    `granularities` say what verbose_json holds besides the text, and whether the segments of /transcribe hold words.
    """
    if response_format == "json":
        return TranscriptionJson(text=transcript.text, usage=_usage(transcript)).model_dump()
    if response_format == "verbose_json":
        return _verbose_json(transcript, granularities).model_dump(exclude_none=True)
    if response_format == "diarized_json":
        return _diarized_json(transcript).model_dump()
    if response_format == "segments":
        return _spoken_segments(transcript, granularities).model_dump(exclude_none=True)
    return _RENDERERS[response_format](transcript)


def response(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> Response:
    """The HTTP answer that holds what `render` gives."""
    content = render(transcript, response_format, granularities)
    if isinstance(content, dict):
        answer: Response = JSONResponse(content)
    else:
        answer = Response(content, media_type=_MEDIA_TYPES.get(response_format, "text/plain"))
    say_what_was_shortened(answer, transcript.shortened)
    return answer


def say_what_was_shortened(answer: Response, fields: Sequence[str] | None) -> None:
    """Names the form fields of which not everything was used in a header of the answer, which has none otherwise."""
    if fields:
        answer.headers["x-whisper-shortened"] = ", ".join(fields)


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


def _diarized_json(transcript: Transcript) -> TranscriptionDiarizedJson:
    return TranscriptionDiarizedJson(
        duration=transcript.duration,
        text=transcript.text,
        segments=[
            DiarizedSegment(
                id=f"seg_{segment.id}",
                start=segment.start,
                end=segment.end,
                text=segment.text,
                speaker=segment.speaker or UNKNOWN_SPEAKER,
            )
            for segment in transcript.segments
        ],
        usage=_usage(transcript),
    )


def _spoken_segments(transcript: Transcript, granularities: Collection[Granularity]) -> SpokenSegments:
    return SpokenSegments(
        segments=[
            SpokenSegment(
                start=segment.start,
                end=segment.end,
                text=segment.text.strip(),
                speaker=segment.speaker,
                words=_spoken_words(segment) if "word" in granularities else None,
            )
            for segment in transcript.segments
        ],
        language=transcript.language,
        timing=transcript.timing,
    )


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


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n" if transcript.text else ""


def _txt(transcript: Transcript) -> str:
    return "".join(f"{_labelled(segment)}\n" for segment in transcript.segments)


def _tsv(transcript: Transcript) -> str:
    """Milliseconds, and the speaker in a column of its own when speakers were told apart."""
    diarized = any(segment.speaker for segment in transcript.segments)
    rows = [["start", "end", *(["speaker"] if diarized else []), "text"]]
    for segment in transcript.segments:
        times = [str(round(moment * 1000)) for moment in (segment.start, segment.end)]
        speaker = [segment.speaker or UNKNOWN_SPEAKER] if diarized else []
        rows.append([*times, *speaker, " ".join(segment.text.split())])
    return "".join("\t".join(row) + "\n" for row in rows)


def _labelled(segment: Segment) -> str:
    text = segment.text.strip()
    return f"[{segment.speaker}]: {text}" if segment.speaker else text


def _srt(transcript: Transcript) -> str:
    cues = _cues(transcript, ",", _labelled)
    return "".join(f"{number}\n{cue}\n\n" for number, cue in enumerate(cues, start=1))


def _vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(f"{cue}\n\n" for cue in _cues(transcript, ".", _voiced))


def _voiced(segment: Segment) -> str:
    """The text of a cue, with the speaker in a voice span (WebVTT, section 3.5)."""
    text = segment.text.strip()
    return f"<v {segment.speaker}>{text}" if segment.speaker else text


def _cues(transcript: Transcript, decimal_mark: str, text: Callable[[Segment], str]) -> Iterator[str]:
    """Cues in sequence, also where speakers talk at once: players show one at a time."""
    times = apart((segment.start, segment.end) for segment in transcript.segments)
    for segment, moments in zip(transcript.segments, times, strict=True):
        start, end = (_clock(moment, decimal_mark) for moment in moments)
        # "-->" in a cue's text would end it.
        yield f"{start} --> {end}\n{text(segment).replace('-->', '->')}"


def _clock(seconds: float, decimal_mark: str) -> str:
    """Hours, minutes, seconds and milliseconds."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{decimal_mark}{milliseconds:03d}"


_RENDERERS: dict[str, Callable[[Transcript], str]] = {
    "text": _text,
    "srt": _srt,
    "vtt": _vtt,
    "txt": _txt,
    "tsv": _tsv,
}
_MEDIA_TYPES = {"vtt": "text/vtt", "tsv": "text/tab-separated-values"}
