"""Speaker turns from overlapping windows.

The rules are pyannote.audio's (`SpeakerDiarization.reconstruct`): the number of people in a frame is the average over
its windows, and they are those with the highest scores. pyannote keeps a number for each person in each frame of each
window, 700 MB for an hour with eight people; here frames are processed in blocks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whisper_server.engines.whisperx.local_speakers import LocalSpeakers

NOBODY = -1

_BLOCK_FRAMES = 30_000


class Turn(NamedTuple):
    """Somebody speaks from `start` to `end`, in seconds."""

    start: float
    end: float
    speaker: str


class SpeakerTurns:
    """Turns in the order of their starts, with a search by time."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._starts = [turn.start for turn in turns]
        self._latest_ends = list(accumulate((turn.end for turn in turns), max))

    def during(self, start: float, end: float) -> list[Turn]:
        """The turns that start before `end` and end after `start`."""
        first, after = bisect_right(self._latest_ends, start), bisect_left(self._starts, end)
        return [turn for turn in self._turns[first:after] if turn.end > start]


def turns(found: LocalSpeakers, people: NDArray[np.int16], shortest_pause: float) -> list[Turn]:
    """The turns of all people in the order of their starts; those of different people may overlap.

    `people` (windows, speakers) is the person of each local speaker, or NOBODY. Turns of one person with less than
    `shortest_pause` seconds between them are joined. SPEAKER_00 speaks first, SPEAKER_01 next.
    """
    number = int(people.max()) + 1
    if number == 0:
        return []
    speaks = np.concatenate(list(_blocks(found, people, number)))
    of_people = [_joined(_runs(found, speaks[:, person]), shortest_pause) for person in range(number)]
    in_order = sorted(spans for spans in of_people if spans)
    return sorted(
        Turn(start, end, f"SPEAKER_{place:02}") for place, spans in enumerate(in_order) for start, end in spans
    )


def _runs(found: LocalSpeakers, speaks: NDArray[np.bool_]) -> Iterable[tuple[float, float]]:
    """Spans from the middle of the first frame with speech to that of the next frame without."""
    edges = np.flatnonzero(np.diff(speaks, prepend=False, append=False)).clip(max=len(speaks) - 1)
    moments = edges * found.windows.frame_step + found.windows.frame_seconds / 2
    return [(start, end) for start, end in moments.reshape(-1, 2).tolist() if start < end]


def _joined(runs: Iterable[tuple[float, float]], shortest_pause: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] < shortest_pause:
            start, _ = joined.pop()
        joined.append((start, end))
    return joined


def _blocks(found: LocalSpeakers, people: NDArray[np.int16], number: int) -> Iterator[NDArray[np.bool_]]:
    """Who speaks (frames, people), in consecutive blocks of frames."""
    windows, frames = found.windows, found.active.shape[1]
    starts = np.rint(np.arange(len(people)) * windows.step / windows.frame_step).astype(np.int64)
    end = round(((len(people) - 1) * windows.step + windows.seconds) / windows.frame_step) + 1
    for first in range(0, end, _BLOCK_FRAMES):
        size = min(_BLOCK_FRAMES, end - first)
        # Padded at both ends for windows that start before the block or end after it.
        sure = np.zeros((frames + size + frames, number), np.float32)
        speaking, covering = np.zeros((2, len(sure)), np.float32)
        reach = np.searchsorted(starts, (first - frames + 1, first + size))
        for window in range(*reach.tolist()):
            here = slice(starts[window] - first + frames, starts[window] - first + 2 * frames)
            covering[here] += 1
            speaking[here] += found.active[window].sum(axis=1)
            for person in set(people[window].tolist()) - {NOBODY}:
                sure[here, person] += found.scores[window][:, people[window] == person].max(axis=1)
        inside = slice(frames, frames + size)
        count = np.rint(speaking[inside] / covering[inside].clip(min=1))
        yield _surest(sure[inside], count)


def _surest(sure: NDArray[np.float32], count: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The `count` people of each frame with the highest values of `sure` (frames, people)."""
    order = np.argsort(-sure, axis=1, kind="stable")
    is_chosen = np.zeros(sure.shape, np.bool_)
    np.put_along_axis(is_chosen, order, np.arange(sure.shape[1]) < count[:, None], axis=1)
    return is_chosen
