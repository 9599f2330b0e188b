"""Assigns words to speakers; a segment ends where the speaker changes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from whisper_server.engines.whisperx.turns import SpeakerTurns, Turn
from whisper_server.speech.transcript import UNKNOWN_SPEAKER, Segment, Word

# A turn that starts or ends further from the text, in seconds, contains speech that Whisper omitted.
_REACH_SECONDS = 1.0


def by_speaker(segment: Segment, turns: SpeakerTurns) -> list[Segment]:
    """The segment in parts of one speaker each; UNKNOWN_SPEAKER if no turn overlaps it.

    All text is kept. Tokens cannot be assigned to parts: the first part has them all.
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


def at_turns(parts: Iterable[Segment], turns: SpeakerTurns) -> Iterator[Segment]:
    """The same parts, with the start and end of their speaker's turns if those are near.

    Diarization is more exact about when somebody speaks than the words are. Parts overlap where turns do, but none
    starts before the previous one.
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
    part: Segment, following: Segment | None, turns: SpeakerTurns, ends: dict[str | None, float], begun: float
) -> Segment:
    own = [turn for turn in turns.during(part.start, part.end) if turn.speaker == part.speaker]
    if not own:
        return part
    earliest = max(part.start - _REACH_SECONDS, ends.get(part.speaker, 0.0), begun)
    latest = part.end + _REACH_SECONDS
    if following is not None and following.speaker == part.speaker:
        latest = min(latest, max(part.end, following.start))
    start, end = min(turn.start for turn in own), max(turn.end for turn in own)
    ends[part.speaker] = end = end if part.end < end <= latest else min(max(part.end, end), latest)
    is_in_order = earliest <= start and (following is None or start <= following.start)
    return replace(part, start=round(start if is_in_order else part.start, 3), end=round(end, 3))


def _labelled(segment: Segment, turns: SpeakerTurns) -> Segment:
    near = turns.during(segment.start, segment.end)
    speaker = _most(_seconds(segment, near)) or UNKNOWN_SPEAKER
    names = _continued([_speaker_of(word, speaker, near) for word in segment.words], speaker)
    words = [replace(word, speaker=name) for word, name in zip(segment.words, names, strict=True)]
    return replace(segment, words=words, speaker=speaker)


def _speaker_of(word: Word, of_segment: str, near: Sequence[Turn]) -> str | None:
    """The speaker of a word; in overlapping speech that of the rest of the segment, if the turns do not decide."""
    seconds = _seconds(word, near)
    speaker = _most(seconds)
    if speaker is None or seconds.get(of_segment, 0.0) < seconds[speaker]:
        return speaker
    return of_segment


def _seconds(part: Segment | Word, near: Sequence[Turn]) -> Mapping[str, float]:
    """Seconds for which each speaker speaks during a word or segment, without those who do not."""
    seconds: dict[str, float] = defaultdict(float)
    for turn in near:
        during = min(turn.end, part.end) - max(turn.start, part.start)
        if during > 0:
            seconds[turn.speaker] += during
    return seconds


def _most(seconds: Mapping[str, float]) -> str | None:
    return max(seconds, key=lambda speaker: seconds[speaker], default=None)


def _continued(names: Sequence[str | None], otherwise: str) -> list[str]:
    """Assigns words between turns to the previous speaker, or else to the next one."""
    current = next((name for name in names if name is not None), otherwise)
    continued: list[str] = []
    for name in names:
        current = name or current
        continued.append(current)
    return continued
