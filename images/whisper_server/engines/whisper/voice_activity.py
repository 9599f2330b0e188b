"""Voice activity detection: Silero's network, which comes with faster-whisper, and windows that end in pauses."""

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FunctionType

import numpy as np
from faster_whisper import vad
from faster_whisper.transcribe import Segment as WhisperSegment
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.utils import get_assets_path
from faster_whisper.vad import SileroVADModel, VadOptions, collect_chunks, get_speech_timestamps
from numpy.typing import NDArray

from whisper_server.engines.residency import Residency
from whisper_server.speech.options import VoiceActivity
from whisper_server.speech.recording import SAMPLE_RATE

# OpenVINO if it is installed, otherwise ONNX Runtime. Imported here, because the library would import it when it first
# detects speech: two threads that import at the same time may fail in an import cycle.
_ON_OPENVINO = importlib.util.find_spec("openvino") is not None
if _ON_OPENVINO:
    from whisper_server.engines.whisper.openvino_silero import OpenVinoSilero
else:
    importlib.import_module("onnxruntime")

MODEL = "silero_vad_v6"
_FILE = Path(get_assets_path()) / f"{MODEL}.onnx"

_Detect = Callable[[NDArray[np.float32], VadOptions], list[dict[str, int]]]

# Length of the windows in a batch. The decoder's work per token grows with the window; shorter windows give it less
# context.
_SHORTEST_SECONDS = 8
_LONGEST_SECONDS = 15
# A pause between words, at which a window of a batch may end.
_BATCH_SILENCE_MS = 160


@dataclass(frozen=True)
class Window:
    """A part of a stretch; times in seconds from its start."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start

    def of(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Its samples, from those of the stretch, of shape (samples,) at 16 kHz."""
        return samples[round(self.start * SAMPLE_RATE) : round(self.end * SAMPLE_RATE)]


@dataclass(frozen=True)
class Speech:
    """The speech of a stretch, joined, and the parts of the stretch that it consists of."""

    samples: NDArray[np.float32]
    parts: Sequence[dict[str, int]]

    def at_their_times(self, segments: Iterable[WhisperSegment]) -> Iterable[WhisperSegment]:
        """Segments of the joined speech with the times that they have in the stretch."""
        if not self.parts:
            return segments
        return restore_speech_timestamps(segments, list(self.parts), SAMPLE_RATE)


class SpeechDetector:
    """Detects speech with a model that `residency` keeps in memory like all others."""

    def __init__(self, residency: Residency) -> None:
        self._residency = residency

    def load(self) -> None:
        """Loads the model, so that the first recording need not wait for it."""
        with self._detect():
            pass

    def detect(self, samples: NDArray[np.float32], voice_activity: VoiceActivity | None) -> Speech | None:
        """The speech in a stretch of shape (samples,), None if there is none; all of it if `voice_activity` is None."""
        if voice_activity is None:
            return Speech(samples, ())
        with self._detect() as detect:
            parts = detect(samples, _options(voice_activity))
        if not parts:
            return None
        chunks, _ = collect_chunks(samples, parts)
        return Speech(np.concatenate(chunks), parts)

    def windows(self, samples: NDArray[np.float32], voice_activity: VoiceActivity | None) -> list[Window]:
        """Windows of at most 15 s with all speech of a stretch; with all of it if `voice_activity` is None.

        A window ends at the longest pause of its last seconds, so that sentences are split rarely.
        """
        if voice_activity is None:
            seconds = len(samples) / SAMPLE_RATE
            starts = range(0, math.ceil(seconds), _LONGEST_SECONDS)
            return [Window(float(start), min(float(start + _LONGEST_SECONDS), seconds)) for start in starts]
        options = _options(voice_activity)
        options.speech_pad_ms = 0
        options.max_speech_duration_s = _LONGEST_SECONDS
        options.min_silence_duration_ms = min(_BATCH_SILENCE_MS, voice_activity.silence_ms)
        with self._detect() as detect:
            parts = [
                Window(part["start"] / SAMPLE_RATE, part["end"] / SAMPLE_RATE) for part in detect(samples, options)
            ]
        return _padded(_joined(parts), voice_activity.padding_ms / 1000, len(samples) / SAMPLE_RATE)

    @contextmanager
    def _detect(self) -> Iterator[_Detect]:
        # Its 2 MB are counted as part of what every stretch needs, so that loading is never refused.
        with self._residency.use(MODEL, _load, needed=lambda: 0) as model:
            yield _with_model(model)


def _load() -> SileroVADModel:
    return OpenVinoSilero(_FILE) if _ON_OPENVINO else SileroVADModel(_FILE)


def _with_model(model: SileroVADModel) -> _Detect:
    """faster-whisper's function with another model, which it does not accept as an argument.

    The function is copied with other globals; the library stays as it is.
    """
    given = {**vars(vad), "get_vad_model": lambda: model}
    return FunctionType(get_speech_timestamps.__code__, given, argdefs=get_speech_timestamps.__defaults__)


def _joined(parts: Sequence[Window]) -> list[Window]:
    """Joins parts of speech into the longest possible windows, or shorter ones that end at a longer pause."""
    joined: list[Window] = []
    while parts:
        fitting = sum(part.end - parts[0].start <= _LONGEST_SECONDS for part in parts) or 1
        count = fitting
        if fitting < len(parts):
            ends = [n for n in range(1, fitting + 1) if parts[n - 1].end - parts[0].start >= _SHORTEST_SECONDS]
            count = max(ends, key=lambda n: parts[n].start - parts[n - 1].end, default=fitting)
        joined.append(Window(parts[0].start, parts[count - 1].end))
        parts = parts[count:]
    return joined


def _padded(found: Sequence[Window], padding: float, seconds: float) -> list[Window]:
    """The windows extended by `padding` seconds at both ends, at most to the middle of the silence between two."""
    silences = [(before.end + after.start) / 2 for before, after in pairwise(found)]
    middles = [0.0, *silences, seconds]
    return [
        Window(max(window.start - padding, before), min(window.end + padding, after))
        for window, before, after in zip(found, middles, middles[1:], strict=False)
    ]


def _options(voice_activity: VoiceActivity) -> VadOptions:
    return VadOptions(
        threshold=voice_activity.threshold,
        speech_pad_ms=voice_activity.padding_ms,
        min_silence_duration_ms=voice_activity.silence_ms,
    )
