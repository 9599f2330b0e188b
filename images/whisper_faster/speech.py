"""Where somebody speaks: Silero's voice activity detection, as faster-whisper brings it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime  # noqa: F401 - see below
from faster_whisper.transcribe import Segment as WhisperSegment
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps, get_vad_model
from numpy.typing import NDArray

from whisper_api.audio import SAMPLE_RATE
from whisper_api.engine import VoiceActivity

# ONNX Runtime, which faster_whisper would import when it is first used, and other threads import other things then: two
# that import at once can meet in a cycle and find half a module.

# What the model reads at once.
_WINDOW_SECONDS = 30
# Between sentences: where one window of a batch may end and the next begin.
_BATCH_SILENCE_MS = 160


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
    get_vad_model()


def found(samples: NDArray[np.float32], voice_activity: VoiceActivity | None) -> Speech | None:
    """The speech in a stretch, None where there is none; all of the stretch when nobody looks for speech."""
    if voice_activity is None:
        return Speech(samples, ())
    parts = get_speech_timestamps(samples, _options(voice_activity))
    if not parts:
        return None
    chunks, _ = collect_chunks(samples, parts)
    return Speech(np.concatenate(chunks), parts)


def windows(samples: NDArray[np.float32], voice_activity: VoiceActivity | None) -> list[dict[str, float]]:
    """Windows of at most 30 s that hold all speech: their `start` and `end` in seconds; all of it without looking."""
    seconds = len(samples) / SAMPLE_RATE
    if voice_activity is None:
        starts = range(0, math.ceil(seconds), _WINDOW_SECONDS)
        return [{"start": float(start), "end": min(float(start + _WINDOW_SECONDS), seconds)} for start in starts]
    options = _options(voice_activity)
    options.max_speech_duration_s = _WINDOW_SECONDS
    options.min_silence_duration_ms = min(_BATCH_SILENCE_MS, voice_activity.silence_ms)
    joined: list[dict[str, float]] = []
    for part in get_speech_timestamps(samples, options):
        start, end = part["start"] / SAMPLE_RATE, part["end"] / SAMPLE_RATE
        if joined and end - joined[-1]["start"] <= _WINDOW_SECONDS:
            joined[-1]["end"] = end
        else:
            joined.append({"start": start, "end": end})
    return joined


def _options(voice_activity: VoiceActivity) -> VadOptions:
    return VadOptions(
        threshold=voice_activity.threshold,
        speech_pad_ms=voice_activity.padding_ms,
        min_silence_duration_ms=voice_activity.silence_ms,
    )
