"""Times that players can show: they increase, and lie within the recording.

A decoder's timestamps may continue beyond the end of the audio, and the text of one window may end after the next
window has begun. Alignment and diarization change times independently.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from whisper_server.speech.transcript import Segment

# Start and end, in seconds.
Span = tuple[float, float]


def in_order(segments: Sequence[Segment], seconds: float) -> list[Segment]:
    """The segments of a recording of `seconds` length, with all times in whole milliseconds between 0 and its end.

    Words do not overlap. Segments may where two speakers talk at once; those of one speaker do not.
    """
    last = math.floor(seconds * 1000) / 1000
    words = iter(apart([(word.start, word.end) for segment in segments for word in segment.words], last))
    timed = [_with_words(segment, list(islice(words, len(segment.words)))) for segment in segments]
    own = {
        speaker: iter(apart([(segment.start, segment.end) for segment in timed if segment.speaker == speaker], last))
        for speaker in {segment.speaker for segment in timed}
    }
    ordered: list[Segment] = []
    begun = 0.0
    for segment in timed:
        start, end = next(own[segment.speaker])
        begun = max(begun, start)
        ordered.append(replace(segment, start=begun, end=max(begun, end)))
    return ordered


def apart(spans: Iterable[Span], last: float = math.inf) -> list[Span]:
    """The spans in their order, each ending before the next begins and none after `last`.

    Two that start together get half of their time each.
    """
    found: list[Span] = []
    for span in spans:
        start, end = _within(span, last)
        if found and start < found[-1][1]:
            before, before_end = found[-1]
            if start <= before:
                end = max(end, before_end)
                start = round((before + end) / 2, 3)
            found[-1] = (before, start)
        found.append((start, end))
    return found


def _within(span: Span, last: float) -> Span:
    start, end = (min(max(0.0, round(moment, 3)), last) for moment in span)
    return start, max(start, end)


def _with_words(segment: Segment, times: Sequence[Span]) -> Segment:
    """The segment with new times of its words; it starts and ends with them, or with its speaker turn if it has one."""
    if not times:
        return segment
    words = [replace(word, start=start, end=end) for word, (start, end) in zip(segment.words, times, strict=True)]
    if segment.speaker is not None:
        return replace(segment, words=words)
    return replace(segment, words=words, start=words[0].start, end=words[-1].end)
