"""Decodes several windows of a long recording at once: the weights are read once for all of them.

faster-whisper's own batches encode 30 s for each window, accept the first text however implausible, and lose the text
after the last timestamp.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import Segment, Word, get_compression_ratio, get_suppressed_tokens
from numpy.typing import NDArray

from whisper_server.engines.whisper.hints import Hints
from whisper_server.engines.whisper.short_windows import FRAMES_PER_SECOND, Features, ShortWindowModel, plausible
from whisper_server.engines.whisper.voice_activity import Window
from whisper_server.speech.options import Options

_BEAM_SIZE = 5
_TIMES_PER_SECOND = 50

# Punctuation that belongs to the following word, and to the preceding word: faster-whisper's defaults.
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001

# Of CTranslate2's class WhisperGenerationResultAsync, which has no types.
_Results = list[Any]


@dataclass(frozen=True)
class _Text:
    """The decoder's output for a window."""

    tokens: list[int]
    log_probability: float
    compression_ratio: float
    no_speech_probability: float

    def is_plausible(self, window: Window, tokenizer: Tokenizer) -> bool:
        first_time = tokenizer.timestamp_begin
        return plausible(self.tokens, self.log_probability, self.compression_ratio, window.seconds, first_time)


def detect_language(model: ShortWindowModel, samples: NDArray[np.float32], windows: Sequence[Window], size: int) -> str:
    """The most probable language of the first batch of `transcribe`, whose encoder output the model caches."""
    if not model.model.is_multilingual:
        return "en"
    sums: defaultdict[str, float] = defaultdict(float)
    for languages in model.model.detect_language(
        model.encode(_features(model, samples, _batches(model, windows, size)[0]))
    ):
        for token, probability in languages:
            sums[token[2:-2]] += probability
    return max(sums, key=sums.__getitem__)


def transcribe(
    model: ShortWindowModel,
    samples: NDArray[np.float32],
    windows: Sequence[Window],
    options: Options,
    hints: Hints,
    size: int,
    again: list[float],
    on_decoded: Callable[[float], None],
) -> Iterator[Segment]:
    """The segments of the windows, `size` of which are decoded at once at temperature 0; `options` has a language.

    A window whose text is implausible, or may be a copy of the hints, is decoded again on its own, at the temperatures
    of `again`. The next windows are encoded while others are decoded. `on_decoded` receives the position in the
    stretch, in seconds, up to which it was decoded. `samples` of shape (samples,) are those of the stretch.
    """
    tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task=options.task, language=options.language)
    prompt = model.get_prompt(tokenizer, hints.prompt, hotwords=hints.hotwords)
    last_word_end = 0.0
    for batch, encoded, texts in _decoded(model, samples, _batches(model, windows, size), tokenizer, prompt):
        on_decoded(batch[-1].end)
        written = [
            list(_pieces(text.tokens, window, tokenizer.timestamp_begin))
            for window, text in zip(batch, texts, strict=True)
        ]
        if options.word_timestamps:
            frames = [round(window.seconds * FRAMES_PER_SECOND) for window in batch]
            # Annotated for one window only.
            last_word_end = model.add_word_timestamps(
                written,  # type: ignore[arg-type]
                tokenizer,
                encoded,
                frames,  # type: ignore[arg-type]
                _PREPENDED,
                _APPENDED,
                last_word_end,
            )
        for window, text, pieces in zip(batch, texts, written, strict=True):
            if text.is_plausible(window, tokenizer) and not model.may_be_copied(text.tokens, prompt, tokenizer):
                yield from _segments(pieces, text, tokenizer)
            else:
                yield from _decoded_again(model, samples, window, options, hints, again)


def _features(model: ShortWindowModel, samples: NDArray[np.float32], windows: Sequence[Window]) -> Features:
    """The windows' spectrograms, padded with zeros to 30 s each."""
    spectrograms = (model.feature_extractor(window.of(samples))[:, :-1] for window in windows)
    return np.stack([pad_or_trim(spectrogram) for spectrogram in spectrograms])


def _batches(model: ShortWindowModel, windows: Sequence[Window], size: int) -> list[Sequence[Window]]:
    """The windows in batches for the model's workers, which decode `size` windows at once in total."""
    of_one = max(1, size // model.workers)
    return [windows[first : first + of_one] for first in range(0, len(windows), of_one)]


def _decoded(
    model: ShortWindowModel,
    samples: NDArray[np.float32],
    batched: Sequence[Sequence[Window]],
    tokenizer: Tokenizer,
    prompt: list[int],
) -> Iterator[tuple[Sequence[Window], StorageView, list[_Text]]]:
    """Each batch with its encoder output and its texts; one more batch than the model has workers is in progress."""
    in_progress: deque[tuple[Sequence[Window], StorageView, _Results]] = deque()
    for batch in batched:
        encoded = model.encode(_features(model, samples, batch))
        in_progress.append((batch, encoded, _start(model, encoded, len(batch), tokenizer, prompt)))
        if len(in_progress) > model.workers:
            batch, encoded, results = in_progress.popleft()
            yield batch, encoded, _texts(model, results, tokenizer)
    for batch, encoded, results in in_progress:
        yield batch, encoded, _texts(model, results, tokenizer)


def _start(
    model: ShortWindowModel, encoded: StorageView, count: int, tokenizer: Tokenizer, prompt: list[int]
) -> _Results:
    started: _Results = model.model.generate(
        encoded,
        [prompt] * count,
        asynchronous=True,
        beam_size=_BEAM_SIZE,
        max_length=model.max_length,
        suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),  # type: ignore[arg-type]  # it wants a list
        return_scores=True,
        return_no_speech_prob=True,
    )
    return started


def _texts(model: ShortWindowModel, results: _Results, tokenizer: Tokenizer) -> list[_Text]:
    texts = []
    for in_progress in results:
        result = model.interruptible.wait_for(in_progress.result)
        tokens = result.sequences_ids[0]
        # A score is the mean over the tokens without the one that ends the text.
        log_probability = result.scores[0] * len(tokens) / (len(tokens) + 1)
        ratio = get_compression_ratio(tokenizer.decode(tokens).strip())
        texts.append(_Text(tokens, log_probability, ratio, result.no_speech_prob))
    return texts


def _pieces(tokens: Iterable[int], window: Window, first_time: int) -> Iterator[dict[str, Any]]:
    """The texts between timestamps, in the form to which faster-whisper adds words."""

    def piece(end: float) -> dict[str, Any]:
        start_token, end_token = (first_time + round(moment * _TIMES_PER_SECOND) for moment in (start, end))
        return {
            "seek": round(window.start * FRAMES_PER_SECOND),
            "start": window.start + start,
            "end": window.start + end,
            "tokens": [start_token, *written, end_token],
        }

    start = 0.0
    written: list[int] = []
    silent = True
    for token in tokens:
        if token < first_time:
            written.append(token)
            continue
        time = min((token - first_time) / _TIMES_PER_SECOND, window.seconds)
        if written:
            yield piece(time)
            written, silent = [], False
        start = time
    if written or silent:
        # faster-whisper expects text in every window.
        yield piece(window.seconds)


def _segments(pieces: Iterable[dict[str, Any]], text: _Text, tokenizer: Tokenizer) -> Iterator[Segment]:
    for piece in pieces:
        if not (said := tokenizer.decode(piece["tokens"])).strip():
            continue
        yield Segment(
            id=0,
            seek=piece["seek"],
            start=piece["start"],
            end=piece["end"],
            text=said,
            tokens=piece["tokens"],
            avg_logprob=text.log_probability,
            compression_ratio=text.compression_ratio,
            no_speech_prob=text.no_speech_probability,
            words=[Word(**word) for word in piece.get("words", ())],
            temperature=0.0,
        )


def _decoded_again(
    model: ShortWindowModel,
    samples: NDArray[np.float32],
    window: Window,
    options: Options,
    hints: Hints,
    temperatures: list[float],
) -> Iterator[Segment]:
    """A window's segments, from faster-whisper itself."""
    with model.full_windows():
        segments, _ = model.transcribe(
            window.of(samples),
            language=options.language,
            task=options.task,
            initial_prompt=hints.prompt,
            temperature=temperatures,
            hotwords=hints.hotwords,
            word_timestamps=options.word_timestamps,
        )
        found = list(segments)
    for segment in found:
        segment.seek += round(window.start * FRAMES_PER_SECOND)
        for timed in (segment, *(segment.words or ())):
            # The decoder's timestamps may lie in the padding after the window.
            timed.start = min(timed.start + window.start, window.end)
            timed.end = min(timed.end + window.start, window.end)
        yield segment
