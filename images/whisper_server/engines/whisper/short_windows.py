"""Runs Whisper on windows trimmed to the speech, where faster-whisper always uses 30 s.

The encoder's work grows with the window, and so does the decoder's for every token. A model that was trained on 30 s is
less accurate when speech ends close to the end of the window, so some silence is kept after it, and implausible text is
decoded again with the full window.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import TranscriptionOptions
from numpy.typing import NDArray

from whisper_server.engines.interruptible import Interruptible, InterruptibleModel
from whisper_server.engines.whisper import hints
from whisper_server.engines.whisper.hints import Hints

Features = NDArray[np.float32]

# faster-whisper's: CTranslate2's result, mean log probability, temperature, compression ratio.
Decoded = tuple[Any, float, float, float]

# Maps a spectrogram (batch, mels, frames) to encoder output (batch, frames / 2, dimensions).
Encode = Callable[[Features], StorageView]

FRAMES_PER_SECOND = 100

# Silence after the speech of a window, and the minimum length of a window.
_PADDING_SECONDS = 3
_SHORTEST_SECONDS = 10
# Windows are rounded up to whole seconds: a runtime that compiles for each input shape sees few of them.
_STEP_FRAMES = FRAMES_PER_SECOND

# Texts with a higher compression ratio are considered repetitive, as in OpenAI's reference implementation. Those with a
# lower mean log probability of their tokens are considered guesses, and the full window helps; with the reference's -1
# three more of 33 recordings had a higher WER than with full windows.
_HIGHEST_COMPRESSION_RATIO = 2.4
_LOWEST_LOG_PROBABILITY = -0.7
_REFERENCE_LOG_PROBABILITY = -1.0

# No-speech probability above which a guess is dropped, as in the reference implementation, and the one above which a
# text is dropped if the audio does not support it. Without hints it was at most 0.43 in speech, even with noise 5 dB
# louder than the speech; in noise, applause, music and most laughter it was above 0.4.
_NO_SPEECH = 0.6
_PERHAPS_NO_SPEECH = 0.4
# Mean log probability of a text's tokens for a decoder without hints. For prompts that were spoken it is above -1 in
# clear speech, for those that were not it is mostly below -2.
_LOWEST_SUPPORT = -1.0

# Tolerated difference between the end of the text and the end of the speech: seconds too early, seconds too late.
_MISSING_SECONDS = 2.0
_EXCESS_SECONDS = 1.0


@dataclass(frozen=True)
class _Window:
    """The most recent input of the encoder: the full windows, the part of them that was encoded, and the output."""

    full: Features
    part: Features
    output: StorageView

    @property
    def speech_seconds(self) -> float:
        return _frames(self.full) / FRAMES_PER_SECOND


class _Memory(threading.local):
    """State per thread: a job pauses in the middle of its work while a request uses the same model."""

    window: _Window | None = None
    full = False


class ShortWindowModel(WhisperModel):
    """faster-whisper's model with short windows; `encoder` replaces CTranslate2's by another runtime's.

    Several threads may use it, one at a time.
    """

    trim_windows = True
    encoder: Encode | None = None
    # Windows that are decoded in parallel.
    workers = 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._memory = _Memory()
        self.interruptible = Interruptible()
        self.model = InterruptibleModel(self.model, self.interruptible)

    @contextmanager
    def full_windows(self) -> Iterator[None]:
        """Uses windows of 30 s until the context is left."""
        self._memory.full = True
        try:
            yield
        finally:
            self._memory.full = False

    def encode(self, features: Features) -> StorageView:
        """The encoder output of a spectrogram; cached for the most recent input."""
        full = features if features.ndim == 3 else features[np.newaxis]
        part = self._trimmed(full)
        window = self._memory.window
        if window is None or not np.array_equal(part, window.part):
            window = self._memory.window = _Window(full, part, self._encoded(part))
        return window.output

    def forget(self) -> None:
        """Frees the memory of the most recent input."""
        self._memory.window = None

    def detect_language(  # type: ignore[override]  # with fewer names for the same options
        self, audio: Features | None = None, features: Features | None = None, **options: Any
    ) -> tuple[str, float, list[tuple[str, float]]]:
        """As in faster-whisper, without the extra last frame: the input is that of the first window, and cached."""
        if features is not None:
            features = features[..., :-1]
        return super().detect_language(audio, features, **options)

    def fitted_hints(self, prompt: str | None, hotwords: str | None) -> Hints:
        """A client's prompt and hotwords, as far as the decoder's context allows."""
        return hints.fitted(hints.tokenizer_of(self), prompt, hotwords)

    def get_prompt(  # type: ignore[override]  # with fewer names for the same options
        self, tokenizer: Tokenizer, previous_tokens: Sequence[int], *, hotwords: str | None = None, **_: Any
    ) -> list[int]:
        """The decoder's prompt: hotwords, and as much of the end of earlier text as leaves room for the output.

        faster-whisper's leaves room for hotwords or for earlier text, but not for both.
        """
        words = hints.encoded(tokenizer, hotwords)
        read = [*words, *hints.last(previous_tokens, hints.room(tokenizer) - len(words))]
        return [*([tokenizer.sot_prev, *read] if read else []), *tokenizer.sot_sequence]

    def may_be_copied(self, tokens: list[int], prompt: list[int], tokenizer: Tokenizer) -> bool:
        """Whether a text may be a copy of the prompt."""
        text = tokenizer.decode(tokens)
        has_hints = len(prompt) > len(tokenizer.sot_sequence)
        return has_hints and bool(text.strip()) and hints.are_copied(text, tokenizer.decode(prompt))

    def generate_with_fallback(
        self, encoder_output: StorageView, prompt: list[int], tokenizer: Tokenizer, options: TranscriptionOptions
    ) -> Decoded:
        """A window's text, its mean log probability, temperature and compression ratio.

        In doubt, the no-speech probability and the text's own are computed without hints: hints lower the former and
        raise the latter, and in laughter or noise the decoder copies them.
        """
        decoded = self._decoded(encoder_output, prompt, tokenizer, options)
        if len(prompt) == len(tokenizer.sot_sequence):
            return decoded
        is_guess = decoded[1] < _LOWEST_LOG_PROBABILITY or decoded[2] > options.temperatures[0]
        tokens = decoded[0].sequences_ids[0]
        is_copied = self.may_be_copied(tokens, prompt, tokenizer)
        if not is_guess and not is_copied and _reliability(decoded)[0]:
            return decoded
        silence = self._no_speech_probability(encoder_output, tokenizer)
        if silence > _NO_SPEECH and is_guess:
            return _NOTHING
        if not _reliability(decoded)[0] or (is_copied and not self._is_supported(encoder_output, decoded, tokenizer)):
            # With long hints the decoder may repeat itself or them, or guess, at every temperature.
            without = self._decoded(encoder_output, list(tokenizer.sot_sequence), tokenizer, options)
            # A text that was really spoken differs from its hints by a letter or two.
            is_verbatim = hints.letters(tokenizer.decode(tokens)) in hints.letters(tokenizer.decode(prompt))
            decoded = without if is_verbatim else max(decoded, without, key=_reliability)
        if silence > _PERHAPS_NO_SPEECH and not self._is_supported(encoder_output, decoded, tokenizer):
            return _NOTHING
        return decoded

    def _no_speech_probability(self, encoder_output: StorageView, tokenizer: Tokenizer) -> float:
        start = tokenizer.sot_sequence
        (result,) = self.model.generate(
            encoder_output, [start], beam_size=1, max_length=len(start) + 1, return_no_speech_prob=True
        )
        return float(result.no_speech_prob)

    def _is_supported(self, encoder_output: StorageView, decoded: Decoded, tokenizer: Tokenizer) -> bool:
        """Whether a text is probable for a decoder without hints."""
        said = [token for token in decoded[0].sequences_ids[0] if token < tokenizer.eot]
        if not hints.letters(tokenizer.decode(said)):
            return False
        frames = 2 * encoder_output.shape[1]
        (aligned,) = self.model.align(encoder_output, tokenizer.sot_sequence, [said], frames)
        probabilities = np.maximum(aligned.text_token_probs, np.finfo(np.float32).tiny)
        return float(np.mean(np.log(probabilities))) >= _LOWEST_SUPPORT

    def _decoded(
        self, encoder_output: StorageView, prompt: list[int], tokenizer: Tokenizer, options: TranscriptionOptions
    ) -> Decoded:
        """A window's text, decoded again with the full window if it is implausible."""
        window = self._memory.window
        if window is None or window.output is not encoder_output or window.part is window.full:
            return super().generate_with_fallback(encoder_output, prompt, tokenizer, options)
        first = replace(options, temperatures=options.temperatures[:1])
        decoded = super().generate_with_fallback(encoder_output, prompt, tokenizer, first)
        result, log_probability, _, compression_ratio = decoded
        tokens = result.sequences_ids[0]
        if plausible(tokens, log_probability, compression_ratio, window.speech_seconds, tokenizer.timestamp_begin):
            return decoded
        return super().generate_with_fallback(self._encoded(window.full), prompt, tokenizer, options)

    def _trimmed(self, full: Features) -> Features:
        if not self.trim_windows or self._memory.full:
            return full
        needed = max(_frames(full) + _PADDING_SECONDS * FRAMES_PER_SECOND, _SHORTEST_SECONDS * FRAMES_PER_SECOND)
        needed = -(-needed // _STEP_FRAMES) * _STEP_FRAMES
        return full if needed >= full.shape[-1] else np.ascontiguousarray(full[..., :needed])

    def _encoded(self, features: Features) -> StorageView:
        encode = self.encoder or super().encode
        return self.interruptible.wait_for(lambda: encode(features))


@dataclass(frozen=True)
class _NoSpeech:
    """A result of CTranslate2 that faster-whisper skips."""

    sequences_ids: tuple[list[int]] = ([],)
    no_speech_prob: float = 1.0


_NOTHING: Decoded = (_NoSpeech(), -math.inf, 0.0, 0.0)


def _reliability(decoded: Decoded) -> tuple[bool, float]:
    """Whether the reference implementation would accept a text without decoding again, and its log probability."""
    _, log_probability, _, compression_ratio = decoded
    is_kept = compression_ratio <= _HIGHEST_COMPRESSION_RATIO and log_probability >= _REFERENCE_LOG_PROBABILITY
    return is_kept, log_probability


def plausible(
    tokens: list[int], log_probability: float, compression_ratio: float, speech_seconds: float, first_time: int
) -> bool:
    """Whether a text may be that of `speech_seconds` of speech; `first_time` is the token of timestamp 0."""
    if compression_ratio > _HIGHEST_COMPRESSION_RATIO or log_probability < _LOWEST_LOG_PROBABILITY:
        return False
    times = [token for token in tokens if token >= first_time]
    if not times or tokens[-1] < first_time:
        # Without a final timestamp the text spans the window, or the library processes the remainder again.
        return True
    end = (times[-1] - first_time) / 50
    return speech_seconds - _MISSING_SECONDS <= end <= speech_seconds + _EXCESS_SECONDS


def _frames(features: Features) -> int:
    """Number of frames before faster-whisper's zero padding; real audio never yields an all-zero frame."""
    filled = np.flatnonzero(features.any(axis=(0, 1)))
    return int(filled[-1]) + 1 if len(filled) else 0
