"""Where somebody speaks: Silero's voice activity detection, as faster-whisper brings it."""

import importlib.util
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from faster_whisper import vad
from faster_whisper.transcribe import Segment as WhisperSegment
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from numpy.typing import NDArray

from whisper_server.speech.options import VoiceActivity
from whisper_server.speech.recording import SAMPLE_RATE

# The runtime of the network that tells speech from silence; without OpenVINO the one that faster_whisper would import
# when it is first used. Other threads import other things then: two that import at once can meet in a cycle and find
# half a module.
if importlib.util.find_spec("openvino"):
    from whisper_server.engines.whisper import openvino_silero

    vad.get_vad_model = openvino_silero.model
else:
    import onnxruntime  # noqa: F401

# How long the windows of a batch are: the decoder's work for a token grows with its window, and with their number what
# it does not know of the sentences around.
_SHORTEST_SECONDS = 8
_LONGEST_SECONDS = 15
# Between words: where one window of a batch may end and the next begin.
_BATCH_SILENCE_MS = 160


@dataclass(frozen=True)
class Window:
    """A part of a stretch; times in seconds from its start."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def of(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return samples[round(self.start * SAMPLE_RATE) : round(self.end * SAMPLE_RATE)]


@dataclass(frozen=True)
class Speech:
    """The speech of a stretch, joined, and where its parts came from."""

    samples: NDArray[np.float32]
    parts: Sequence[dict[str, int]]

    def at_their_times(self, segments: Iterable[WhisperSegment]) -> Iterable[WhisperSegment]:
        """Segments of the joined speech with the times that they have in the stretch."""
        if not self.parts:
            return segments
        return restore_speech_timestamps(segments, list(self.parts), SAMPLE_RATE)


def prepare() -> None:
    """Loads what tells speech from silence, which otherwise the first recording would wait for."""
    vad.get_vad_model()


def found(samples: NDArray[np.float32], voice_activity: VoiceActivity | None) -> Speech | None:
    """The speech in a stretch, None where there is none; all of the stretch when nobody looks for speech."""
    if voice_activity is None:
        return Speech(samples, ())
    parts = get_speech_timestamps(samples, _options(voice_activity))
    if not parts:
        return None
    chunks, _ = collect_chunks(samples, parts)
    return Speech(np.concatenate(chunks), parts)


def windows(samples: NDArray[np.float32], voice_activity: VoiceActivity | None) -> list[Window]:
    """Windows of at most 15 s that hold all speech; all of it without looking.

    A window ends at the longest of the silences in its last seconds: a sentence is rather in one window than in two.
    """
    if voice_activity is None:
        seconds = len(samples) / SAMPLE_RATE
        starts = range(0, math.ceil(seconds), _LONGEST_SECONDS)
        return [Window(float(start), min(float(start + _LONGEST_SECONDS), seconds)) for start in starts]
    options = _options(voice_activity)
    options.speech_pad_ms = 0
    options.max_speech_duration_s = _LONGEST_SECONDS
    options.min_silence_duration_ms = min(_BATCH_SILENCE_MS, voice_activity.silence_ms)
    parts = [
        Window(part["start"] / SAMPLE_RATE, part["end"] / SAMPLE_RATE)
        for part in get_speech_timestamps(samples, options)
    ]
    return _padded(_joined(parts), voice_activity.padding_ms / 1000, len(samples) / SAMPLE_RATE)


def _joined(parts: Sequence[Window]) -> list[Window]:
    """Parts of speech joined to windows as long as they may be, but for a cut at a longer silence."""
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
    """Windows with so much more at both ends, up to the middle of the silence between two."""
    silences = [(before.end + behind.start) / 2 for before, behind in pairwise(found)]
    middles = [0.0, *silences, seconds]
    return [
        Window(max(window.start - padding, before), min(window.end + padding, behind))
        for window, before, behind in zip(found, middles, middles[1:], strict=False)
    ]


def _options(voice_activity: VoiceActivity) -> VadOptions:
    return VadOptions(
        threshold=voice_activity.threshold,
        speech_pad_ms=voice_activity.padding_ms,
        min_silence_duration_ms=voice_activity.silence_ms,
    )
