"""Which speakers of different windows are one person: pyannote's clustering, on a sample of a long recording.

It compares all pairs: for the 15,000 embeddings that pyannote's usual windows have in an hour it takes 900 MB and more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisper_server.engines.whisperx.local_speakers import LocalSpeakers
from whisper_server.engines.whisperx.turns import NOBODY
from whisper_server.speech.options import Speakers

# Embeddings that are clustered: half a second and 36 MB.
_SAMPLE = 3000

# Who has less than this share of the speech is nobody of their own: where speakers change, windows mix their voices,
# and the mixtures resemble each other. The longer a recording is, the more of them there are.
_SMALLEST_SHARE = 0.02


def people(clustering: Any, found: LocalSpeakers, speakers: Speakers) -> NDArray[np.int16]:
    """Who each local speaker (windows, speakers) is: a number from 0, or NOBODY.

    `clustering` is one of pyannote.audio's that finds centroids, of embeddings that are compared by their angle.
    Whoever says too little in a window to have an embedding is NOBODY there: the windows around it say who that is.
    """
    who = np.full((len(found.active), found.active.shape[2]), NOBODY, np.int16)
    if len(found.embeddings):
        likeness = _likeness(found, _wanted(clustering, found, speakers))
        rows = likeness.argmax(axis=1)
        if clustering.constrained_assignment:
            # No two of a window are one person, unless there are more of them than people.
            scores = np.full((*who.shape, likeness.shape[1]), -2.0)
            scores[found.window, found.speaker] = likeness
            constrained = clustering.constrained_argmax(scores)[found.window, found.speaker]
            rows = np.where(constrained < 0, rows, constrained)
        who[found.window, found.speaker] = rows
    return who


def _wanted(clustering: Any, found: LocalSpeakers, speakers: Speakers) -> NDArray[np.float64]:
    """The centroids (people, dimension) of as many people as there may be.

    pyannote is asked for a number only where it finds fewer people by itself. Asked for fewer than it finds, its
    agglomerative clustering joins people rather than to do without a mixture of two.
    """
    fewest, most = speakers.number or speakers.fewest or 1, speakers.number or speakers.most
    centroids = _large(_centroids(clustering, found, None), found, fewest)
    if len(centroids) < fewest:
        centroids = _centroids(clustering, found, fewest)
    while most is not None and len(centroids) > most:
        centroids = _without_a_pair(centroids, found)
    return centroids


def _large(centroids: NDArray[np.float64], found: LocalSpeakers, fewest: int) -> NDArray[np.float64]:
    """The centroids without those that are the nearest to too little speech; `fewest` are left in any case."""
    while len(centroids) > fewest:
        shares = _shares(centroids, found)
        if shares.min() >= _SMALLEST_SHARE:
            break
        centroids = np.delete(centroids, shares.argmin(), axis=0)
    return centroids


def _without_a_pair(centroids: NDArray[np.float64], found: LocalSpeakers) -> NDArray[np.float64]:
    """The centroids with the two that are most alike as one."""
    directions = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    alike = directions @ directions.T
    np.fill_diagonal(alike, -2)
    pair = list(np.unravel_index(alike.argmax(), alike.shape))
    joined = np.average(centroids[pair], axis=0, weights=_shares(centroids, found)[pair] + 1e-9)
    return np.vstack([np.delete(centroids, pair, axis=0), joined])


def _shares(centroids: NDArray[np.float64], found: LocalSpeakers) -> NDArray[np.float64]:
    """How much of the speech each centroid is the nearest to."""
    spoken = found.active.sum(axis=1)[found.window, found.speaker]
    nearest = _likeness(found, centroids).argmax(axis=1)
    shares: NDArray[np.float64] = np.bincount(nearest, weights=spoken, minlength=len(centroids)) / spoken.sum()
    return shares


def _likeness(found: LocalSpeakers, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cosine of the angle between each embedding and each centroid (rows, people)."""
    directions = (centroids / np.linalg.norm(centroids, axis=1, keepdims=True)).astype(np.float32)
    likeness = found.embeddings @ directions.T
    return np.asarray(likeness / np.linalg.norm(found.embeddings, axis=1, keepdims=True), np.float64)


def _centroids(clustering: Any, found: LocalSpeakers, number: int | None) -> NDArray[np.float64]:
    """What pyannote takes for the centre of each person's embeddings in every so many windows."""
    from pyannote.audio.pipelines.utils.diarization import set_num_speakers
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    every = -(-len(found.embeddings) // _SAMPLE)
    rows = np.flatnonzero(found.window % every == 0)
    active = found.active[::every].astype(np.float32)
    embeddings = np.full((len(active), active.shape[2], found.embeddings.shape[1]), np.nan, np.float32)
    embeddings[found.window[rows] // every, found.speaker[rows]] = found.embeddings[rows]
    number, fewest, most = set_num_speakers(number)
    _, _, centroids = clustering(
        embeddings=embeddings,
        segmentations=SlidingWindowFeature(active, SlidingWindow(found.windows.seconds, every * found.windows.step)),
        num_clusters=number,
        min_clusters=fewest,
        max_clusters=most,
    )
    if np.isnan(centroids).any():  # nobody speaks alone for long enough
        centroids = found.embeddings.mean(axis=0, keepdims=True)
    return np.asarray(centroids, np.float64)
