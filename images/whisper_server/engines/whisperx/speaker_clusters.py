"""Assigns the speakers of all windows to people: pyannote's clustering, on a sample of a long recording.

Clustering compares all pairs: for the 15,000 embeddings of an hour, with pyannote's default windows, it takes 900 MB or
more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisper_server.engines.whisperx.local_speakers import LocalSpeakers
from whisper_server.engines.whisperx.turns import NOBODY
from whisper_server.speech.options import Speakers

# Size of the sample: half a second and 36 MB.
_SAMPLE = 3000

# A cluster with less than this share of the speech is not a person: windows with a change of speaker mix two voices,
# and these mixtures resemble each other. Longer recordings have more of them.
_SMALLEST_SHARE = 0.02


def people(clustering: Any, found: LocalSpeakers, speakers: Speakers) -> NDArray[np.int16]:
    """The person of each local speaker (windows, speakers): a number from 0, or NOBODY.

    `clustering` is one of pyannote.audio's with centroids and cosine distance. Speakers without an embedding are NOBODY
    in that window: the surrounding windows decide.
    """
    who = np.full((len(found.active), found.active.shape[2]), NOBODY, np.int16)
    if len(found.embeddings):
        similarity = _similarity(found, _wanted(clustering, found, speakers))
        rows = similarity.argmax(axis=1)
        if clustering.constrained_assignment:
            # Two speakers of a window are different people, unless there are more speakers than people.
            scores = np.full((*who.shape, similarity.shape[1]), -2.0)
            scores[found.window, found.speaker] = similarity
            constrained = clustering.constrained_argmax(scores)[found.window, found.speaker]
            rows = np.where(constrained < 0, rows, constrained)
        who[found.window, found.speaker] = rows
    return who


def _wanted(clustering: Any, found: LocalSpeakers, speakers: Speakers) -> NDArray[np.float64]:
    """The centroids (people, dimension), in a number that `speakers` permits.

    pyannote is given a number only if it finds fewer people on its own. Given fewer than it finds, its agglomerative
    clustering merges people rather than dropping a mixture of two.
    """
    fewest, most = speakers.number or speakers.fewest or 1, speakers.number or speakers.most
    centroids = _large(_centroids(clustering, found, None), found, fewest)
    if len(centroids) < fewest:
        centroids = _centroids(clustering, found, fewest)
    while most is not None and len(centroids) > most:
        centroids = _without_a_pair(centroids, found)
    return centroids


def _large(centroids: NDArray[np.float64], found: LocalSpeakers, fewest: int) -> NDArray[np.float64]:
    """The centroids without those that are nearest to too little speech; at least `fewest` remain."""
    while len(centroids) > fewest:
        shares = _shares(centroids, found)
        if shares.min() >= _SMALLEST_SHARE:
            break
        centroids = np.delete(centroids, shares.argmin(), axis=0)
    return centroids


def _without_a_pair(centroids: NDArray[np.float64], found: LocalSpeakers) -> NDArray[np.float64]:
    """The centroids with the two most similar ones merged."""
    directions = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    alike = directions @ directions.T
    np.fill_diagonal(alike, -2)
    pair = list(np.unravel_index(alike.argmax(), alike.shape))
    joined = np.average(centroids[pair], axis=0, weights=_shares(centroids, found)[pair] + 1e-9)
    return np.vstack([np.delete(centroids, pair, axis=0), joined])


def _shares(centroids: NDArray[np.float64], found: LocalSpeakers) -> NDArray[np.float64]:
    """The share of the speech that is nearest to each centroid."""
    spoken = found.active.sum(axis=1)[found.window, found.speaker]
    nearest = _similarity(found, centroids).argmax(axis=1)
    shares: NDArray[np.float64] = np.bincount(nearest, weights=spoken, minlength=len(centroids)) / spoken.sum()
    return shares


def _similarity(found: LocalSpeakers, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine similarity of each embedding and each centroid (rows, people)."""
    directions = (centroids / np.linalg.norm(centroids, axis=1, keepdims=True)).astype(np.float32)
    similarity = found.embeddings @ directions.T
    return np.asarray(similarity / np.linalg.norm(found.embeddings, axis=1, keepdims=True), np.float64)


def _centroids(clustering: Any, found: LocalSpeakers, number: int | None) -> NDArray[np.float64]:
    """pyannote's centroids of the embeddings of a sample of the windows."""
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
