"""The diarization error rate, without a collar.

Source: NIST, Rich Transcription 2009 evaluation plan, section 6.1: missed speech, false alarms, and speech of the wrong
speaker,
over the time that speakers speak, under the mapping of speakers that is best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations


@dataclass(frozen=True)
class Turn:
    """From `start` to `end`, in seconds, somebody speaks."""

    start: float
    end: float
    speaker: str


def diarization_error_rate(reference: Sequence[Turn], hypothesis: Sequence[Turn]) -> float:
    """The rate, between 0 and 1 or more. For a few speakers: every mapping is tried."""
    moments = sorted({moment for turn in (*reference, *hypothesis) for moment in (turn.start, turn.end)})
    spans = [
        (end - start, _speaking(reference, start, end), _speaking(hypothesis, start, end))
        for start, end in pairwise(moments)
    ]
    true = sorted({turn.speaker for turn in reference})
    found = sorted({turn.speaker for turn in hypothesis})
    # Speakers too many on one side are mapped to nobody.
    names = [*found, *("" for _ in true)]
    wrong = min(
        sum(
            seconds * (max(len(said), len(heard)) - sum(mapping[speaker] in heard for speaker in said))
            for seconds, said, heard in spans
        )
        for mapping in (dict(zip(true, order, strict=True)) for order in permutations(names, len(true)))
    )
    return wrong / sum(seconds * len(said) for seconds, said, _ in spans)


def _speaking(turns: Sequence[Turn], start: float, end: float) -> frozenset[str]:
    return frozenset(turn.speaker for turn in turns if turn.start <= start and end <= turn.end)
