"""Whose words are whose: WhisperX puts turns and words together, and a segment ends where the speaker changes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from whisper_api.engine import UNKNOWN_SPEAKER, Segment

if TYPE_CHECKING:
    import pandas as pd

# A turn that begins or ends further from the text than this holds speech that Whisper left out.
_REACH_SECONDS = 1.0


def by_speaker(segment: Segment, turns: "pd.DataFrame") -> list[Segment]:
    """The segment, in parts of one speaker each; UNKNOWN_SPEAKER where nobody was heard to speak.

    All text is kept. Tokens cannot be told apart: the first part has them.
    """
    segment = _labelled(segment, turns)
    if "".join(word.word for word in segment.words).split() != segment.text.split():
        return [segment]
    parts = [list(words) for _, words in groupby(segment.words, key=lambda word: word.speaker)]
    if len(parts) < 2:
        return [replace(segment, speaker=segment.words[0].speaker)] if parts else [segment]
    return [
        replace(
            segment,
            start=words[0].start,
            end=words[-1].end,
            text="".join(word.word for word in words),
            tokens=segment.tokens if number == 0 else (),
            words=words,
            speaker=words[0].speaker,
        )
        for number, words in enumerate(parts)
    ]


def at_turns(parts: Iterable[Segment], turns: "pd.DataFrame") -> Iterator[Segment]:
    """The same parts, which begin and end with their speaker's turns where those are near.

    Diarization finds out exactly when somebody begins and ends; the times of words are for the words. Where people talk
    at once, the parts overlap as their turns do, but none begins before the one in front of it.
    """
    ends: dict[str | None, float] = {}
    held: Segment | None = None
    begun = 0.0
    for part in parts:
        if held is not None:
            held = _at_turn(held, part, turns, ends, begun)
            begun = held.start
            yield held
        held = part
    if held is not None:
        yield _at_turn(held, None, turns, ends, begun)


def _at_turn(
    part: Segment, following: Segment | None, turns: "pd.DataFrame", ends: dict[str | None, float], begun: float
) -> Segment:
    own = turns[(turns["speaker"] == part.speaker) & (turns["start"] < part.end) & (turns["end"] > part.start)]
    if own.empty:
        return part
    earliest = max(part.start - _REACH_SECONDS, ends.get(part.speaker, 0.0), begun)
    latest = part.end + _REACH_SECONDS
    if following is not None and following.speaker == part.speaker:
        latest = min(latest, max(part.end, following.start))
    start, end = float(own["start"].min()), float(own["end"].max())
    ends[part.speaker] = end = end if part.end < end <= latest else min(max(part.end, end), latest)
    is_in_order = earliest <= start and (following is None or start <= following.start)
    return replace(part, start=round(start if is_in_order else part.start, 3), end=round(end, 3))


def _labelled(segment: Segment, turns: "pd.DataFrame") -> Segment:
    from whisperx.diarize import assign_word_speakers

    near = turns[(turns["start"] < segment.end) & (turns["end"] > segment.start)]
    spoken: dict[str, Any] = {
        "start": segment.start,
        "end": segment.end,
        "words": [{"start": word.start, "end": word.end} for word in segment.words],
    }
    assign_word_speakers(near, {"segments": [spoken]})
    speaker = spoken.get("speaker", UNKNOWN_SPEAKER)
    names = _continued([_speaker_of(word, speaker, near) for word in spoken["words"]], speaker)
    words = [replace(word, speaker=name) for word, name in zip(segment.words, names, strict=True)]
    return replace(segment, words=words, speaker=speaker)


def _speaker_of(word: dict[str, Any], of_segment: str, turns: "pd.DataFrame") -> str | None:
    """Who says a word: where people talk at once and nothing tells whose it is, who says the rest of the segment."""
    speaker = word.get("speaker")
    if speaker in (None, of_segment) or _seconds(word, of_segment, turns) < _seconds(word, speaker, turns):
        return speaker
    return of_segment


def _seconds(word: dict[str, Any], speaker: str, turns: "pd.DataFrame") -> float:
    """How long a speaker speaks during a word."""
    own = turns[turns["speaker"] == speaker]
    return float((own["end"].clip(upper=word["end"]) - own["start"].clip(lower=word["start"])).clip(lower=0).sum())


def _continued(names: Sequence[str | None], otherwise: str) -> list[str]:
    """A word in a pause between turns is the one's who spoke before it, or else the first one's after it."""
    current = next((name for name in names if name is not None), otherwise)
    continued: list[str] = []
    for name in names:
        current = name or current
        continued.append(current)
    return continued
