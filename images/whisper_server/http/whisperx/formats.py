"""A transcript as `POST /transcribe` presents it."""

from collections.abc import Collection, Iterator

from pydantic import BaseModel

from whisper_server.http.json_pieces import Granularity, object_pieces
from whisper_server.speech.transcript import Segment, Timing, Transcript


class SpokenWord(BaseModel):
    word: str
    start: float
    end: float
    score: float
    speaker: str | None = None


class SpokenSegment(BaseModel):
    """`speaker` is there with diarization, "UNKNOWN" where it found nobody; `words` on request."""

    start: float
    end: float
    text: str
    speaker: str | None = None
    words: list[SpokenWord] | None = None


class SpokenSegments(BaseModel):
    """`language` is an ISO 639-1 code. `timing` is where the times come from: `aligned` with the audio, the decoder's
    `attention`, or the decoder's own timestamps (`decoded`)."""

    segments: list[SpokenSegment]
    language: str
    timing: Timing


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
    return object_pieces(head, segments=segments)


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


RENDERERS = {"segments": _spoken_segments}
