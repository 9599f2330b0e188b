"""The speakers of each window of a recording: pyannote's segmentation and embeddings.

`SpeakerDiarization.apply` does the same with the entire recording in memory, and embeds silent speakers, too.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whisper_server.engines.whisperx.torch_models import set_threads
from whisper_server.speech.recording import SAMPLE_RATE, Recording

# How often progress is reported.
_ASK_SECONDS = 0.5


@dataclass(frozen=True)
class Windows:
    """The windows of a recording: `seconds` long every `step`, with frames of `frame_seconds` every `frame_step`."""

    seconds: float
    step: float
    frame_seconds: float
    frame_step: float


@dataclass(frozen=True)
class LocalSpeakers:
    """The local speakers of each window. They are numbered within a window: 0 in the next one may be another person.

    `scores` (windows, frames, speakers) are probabilities of speech in 255ths; `active`, of the same shape, is where
    that counts as speech. Each row of `embeddings` (rows, dimension) is that of speaker `speaker[row]` of window
    `window[row]`, in the order of the windows; speakers who say too little have none.
    """

    windows: Windows
    scores: NDArray[np.uint8]
    active: NDArray[np.bool_]
    embeddings: NDArray[np.float32]
    window: NDArray[np.int64]
    speaker: NDArray[np.int64]


class _Batch(NamedTuple):
    """As LocalSpeakers, for a batch of windows, which are numbered from 0."""

    scores: NDArray[np.uint8]
    active: NDArray[np.bool_]
    embeddings: NDArray[np.float32]
    window: NDArray[np.int64]
    speaker: NDArray[np.int64]


def local_speakers(
    pipeline: Any, recording: Recording, at_once: int, progress: Callable[[float], None]
) -> LocalSpeakers:
    """Runs a `pyannote.audio.pipelines.SpeakerDiarization` on the windows of a recording.

    The recording is read meanwhile; `at_once` batches of windows are processed in parallel, by one thread each.
    `progress` receives the completed share at least twice a second; an exception that it raises ends the work.
    """
    number = _number_of_windows(pipeline._segmentation, recording)
    collected = _Collected(number, progress)
    for batch in _in_order(pipeline, recording, number, at_once, collected.ask):
        collected.add(batch)
    return collected.all_of(_windows(pipeline._segmentation))


class _Collected:
    """The results of the windows so far."""

    def __init__(self, number: int, progress: Callable[[float], None]) -> None:
        self._number = number
        self._progress = progress
        self._done = 0
        self._scores: NDArray[np.uint8]
        self._active: NDArray[np.bool_]
        self._rows: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]] = []

    def ask(self) -> None:
        self._progress(self._done / self._number)

    def add(self, batch: _Batch) -> None:
        if not self._rows:
            # Allocated for all windows: concatenating the parts at the end would take twice their memory.
            shape = (self._number, *batch.scores.shape[1:])
            self._scores, self._active = np.empty(shape, np.uint8), np.empty(shape, np.bool_)
        first, self._done = self._done, self._done + len(batch.scores)
        self._scores[first : self._done] = batch.scores
        self._active[first : self._done] = batch.active
        self._rows.append((batch.embeddings, batch.window + first, batch.speaker))
        self.ask()

    def all_of(self, windows: Windows) -> LocalSpeakers:
        embeddings, window, speaker = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        return LocalSpeakers(windows, self._scores, self._active, embeddings, window, speaker)


def _windows(inference: Any) -> Windows:
    frames = inference.model.receptive_field
    return Windows(inference.duration, inference.step, frames.duration, frames.step)


def _number_of_windows(inference: Any, recording: Recording) -> int:
    """Enough windows to reach the end of the recording; the last one is padded with silence."""
    after_the_first: int = round((recording.seconds - inference.duration) * SAMPLE_RATE)
    step: int = round(inference.step * SAMPLE_RATE)
    return 1 + max(0, -(-after_the_first // step))


def _in_order(
    pipeline: Any, recording: Recording, number: int, at_once: int, ask: Callable[[], None]
) -> Iterator[_Batch]:
    """The results of all windows, batch by batch."""
    size = pipeline.segmentation_batch_size
    in_progress: deque[Future[_Batch]] = deque()
    # One torch thread for each: see `set_threads`.
    with ThreadPoolExecutor(at_once, "diarization", set_threads, (1,)) as executor:
        try:
            for first in range(0, number, size):
                # In this thread, because a recording has a single read position.
                samples = _read(pipeline._segmentation, recording, first, min(size, number - first))
                in_progress.append(executor.submit(_diarized, pipeline, samples))
                if len(in_progress) > at_once:
                    yield _result(in_progress.popleft(), ask)
            while in_progress:
                yield _result(in_progress.popleft(), ask)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[_Batch], ask: Callable[[], None]) -> _Batch:
    while not wait([future], _ASK_SECONDS).done:
        ask()
    return future.result()


def _read(inference: Any, recording: Recording, first: int, number: int) -> NDArray[np.float32]:
    """The samples (windows, samples) of `number` windows from `first` on."""
    size, step = (round(seconds * SAMPLE_RATE) for seconds in (inference.duration, inference.step))
    start = first * step / SAMPLE_RATE
    length = (number - 1) * step + size
    samples = recording.samples(start, start + length / SAMPLE_RATE)
    samples = np.pad(samples, (0, length - len(samples)))
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(samples, size)[::step])


def _diarized(pipeline: Any, samples: NDArray[np.float32]) -> _Batch:
    """Segmentation and embeddings of a batch of windows, with samples (windows, samples)."""
    import torch

    waveforms = torch.from_numpy(samples)[:, None]
    scores = pipeline._segmentation.infer(waveforms)
    active = _speech(pipeline, scores)
    window, speaker = np.nonzero(active.any(axis=1))
    embeddings = _embedded(pipeline, waveforms, window, _masks(pipeline, active, samples.shape[1])[window, speaker])
    # pyannote's models return NaN for speakers that cannot be embedded.
    known = ~np.isnan(embeddings).any(axis=1)
    return _Batch(np.rint(scores * 255).astype(np.uint8), active, embeddings[known], window[known], speaker[known])


def _speech(pipeline: Any, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where each speaker speaks, as in pyannote: powerset models return decisions, not probabilities."""
    from pyannote.audio.utils.signal import binarize

    if pipeline._segmentation.model.specifications.powerset:
        return scores > 0
    windows, frames, speakers = scores.shape
    each = scores.transpose(0, 2, 1).reshape(-1, frames)
    active: NDArray[np.bool_] = binarize(each, onset=pipeline.segmentation.threshold, initial_state=False)
    return active.reshape(windows, speakers, frames).transpose(0, 2, 1)


def _masks(pipeline: Any, active: NDArray[np.bool_], samples: int) -> NDArray[np.float32]:
    """The frames (windows, speakers, frames) for each speaker's embedding: those in which nobody else speaks, if the
    pipeline is configured so and they are enough."""
    masks = active.transpose(0, 2, 1)
    if pipeline.embedding_exclude_overlap:
        fewest = np.ceil(active.shape[1] * pipeline._embedding.min_num_samples / samples)
        alone = masks & (active.sum(axis=2) < 2)[:, None]
        masks = np.where(alone.sum(axis=2, keepdims=True) > fewest, alone, masks)
    return masks.astype(np.float32)


def _embedded(
    pipeline: Any, waveforms: Any, window: NDArray[np.int64], masks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Embeddings (rows, dimension) of the speakers of `window[row]` in the frames `masks[row]`."""
    import torch

    size = pipeline.embedding_batch_size
    parts = [
        pipeline._embedding(waveforms[window[row : row + size]], masks=torch.from_numpy(masks[row : row + size]))
        for row in range(0, len(window), size)
    ]
    return np.concatenate(parts) if parts else np.empty((0, pipeline._embedding.dimension), np.float32)
