"""faster-whisper behind the `Engine` protocol: CTranslate2 on the CPU or a GPU, no torch."""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import replace

from faster_whisper.tokenizer import _LANGUAGE_CODES
from faster_whisper.transcribe import Segment as WhisperSegment

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper import batches, voice_activity
from whisper_server.engines.whisper.hints import Hints
from whisper_server.engines.whisper.models import ModelCache
from whisper_server.engines.whisper.short_windows import ShortWindowModel
from whisper_server.engines.whisper.voice_activity import SpeechDetector
from whisper_server.engines.whisper.whisper_models import WhisperModels
from whisper_server.process.settings import Settings
from whisper_server.speech.engine import Download, Event, Model, Reached
from whisper_server.speech.errors import UnsupportedOption
from whisper_server.speech.options import Options
from whisper_server.speech.recording import Recording, Stretch
from whisper_server.speech.transcript import Segment, TranscriptionInfo, Word

# Tried in this order as long as a window's text is implausible; the values of OpenAI's reference implementation.
_TEMPERATURES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]

# Longer recordings are decoded in batches of windows unless the request says otherwise.
_ONE_WINDOW_SECONDS = 30

# Whisper reads at most this many tokens of earlier text, half of its context of 448.
_CONTEXT_TOKENS = 223

# Multilingual models that were not trained to translate, according to their authors.
_TRANSCRIBING_ONLY = ("turbo", "distil")


class FasterWhisperEngine:
    """Whisper models of a Hugging Face cache, loaded on first use. `Engine` describes the methods."""

    def __init__(self, settings: Settings, residency: Residency | None = None) -> None:
        self._cache = ModelCache(settings)
        self._residency = residency or Residency(settings.ttl)
        self._models = WhisperModels(settings, self._cache.folder, self._residency)
        self._detector = SpeechDetector(self._residency)

    @property
    def default_model(self) -> str:
        return self._cache.default_model

    @property
    def languages(self) -> Collection[str]:
        return frozenset(_LANGUAGE_CODES)

    def resolve(self, name: str) -> str:
        return self._cache.resolve(name)

    def models(self) -> Sequence[Model]:
        return self._cache.present()

    def loaded(self) -> Collection[str]:
        # Without the VAD model, which is no model that clients know.
        return tuple(name for name in self._residency.names() if name != voice_activity.MODEL)

    def fetch(self, model: str, progress: Callable[[Download], None] = lambda _: None) -> None:
        self._cache.fetch(model, progress)

    def prepare(self, options: Options) -> None:
        self._cache.fetch(options.model, lambda _: None)

    def load(self, model: str) -> None:
        with self._models.use(model):
            self._detector.load()

    def unload(self, model: str) -> bool:
        return self._residency.unload(model)

    def unload_unused(self) -> None:
        self._residency.unload_unused()

    def delete(self, model: str) -> None:
        self._cache.delete(model)

    def transcribe(self, recording: Recording, options: Options, reached: Reached) -> Generator[Event, None, None]:
        progress = _TextProgress(reached, recording.seconds)
        with self._models.use(options.model) as model, model.interruptible.asking(progress.report):
            _refuse_unsupported(model, options)
            hints = model.fitted_hints(options.prompt, options.hotwords)
            info: TranscriptionInfo | None = None
            number = 0
            context: list[int] = []
            for stretch in recording.stretches():
                progress.begin(stretch.start)
                if (size := self._batch_size(model, stretch, options)) > 1:
                    language, found = self._transcribe_batch(model, stretch, options, hints, size, progress.until)
                else:
                    language, found = self._transcribe(model, stretch, options, hints, context)
                if language is None:
                    continue
                if info is None:
                    info = _info(language, options, hints)
                    yield info
                    options = replace(options, language=language)
                for segment in found:
                    progress.until(segment.end)
                    context = [*context, *segment.tokens][-_CONTEXT_TOKENS:]
                    yield _segment(number, stretch.start, segment)
                    number += 1
            if info is None:
                yield _info(options.language or "en", options, hints)

    def _batch_size(self, model: ShortWindowModel, stretch: Stretch, options: Options) -> int:
        """Number of windows decoded at once: 1 with a temperature, because tokens are sampled then."""
        if options.temperature > 0:
            return 1
        if options.batch_size is None:
            return self._models.batch_size(options.model, model) if stretch.seconds > _ONE_WINDOW_SECONDS else 1
        return options.batch_size

    def _transcribe(
        self, model: ShortWindowModel, stretch: Stretch, options: Options, hints: Hints, context: Sequence[int]
    ) -> tuple[str | None, Iterable[WhisperSegment]]:
        """The language of a stretch and its segments; None and no segments if there is no speech.

        Speech is detected first. Without speech the model is not used, not even to detect the language.
        """
        found = self._detector.detect(stretch.samples, options.voice_activity)
        if found is None:
            return None, ()
        segments, info = model.transcribe(
            found.samples,
            language=options.language,
            task=options.task,
            initial_prompt=context or hints.prompt,
            temperature=options.temperature or _TEMPERATURES,
            hotwords=hints.hotwords,
            word_timestamps=options.word_timestamps,
        )
        return info.language, found.at_their_times(segments)

    def _transcribe_batch(
        self,
        model: ShortWindowModel,
        stretch: Stretch,
        options: Options,
        hints: Hints,
        size: int,
        on_decoded: Callable[[float], None],
    ) -> tuple[str | None, Iterable[WhisperSegment]]:
        """As `_transcribe`, for `size` windows at once, each without the preceding text as context."""
        windows = self._detector.windows(stretch.samples, options.voice_activity)
        if not windows:
            return None, ()
        if options.language is None:
            language = batches.detect_language(model, stretch.samples, windows, size)
            options = replace(options, language=language)
        found = batches.transcribe(model, stretch.samples, windows, options, hints, size, _TEMPERATURES, on_decoded)
        return options.language, found


class _TextProgress:
    """Reports the share of a recording that was transcribed."""

    def __init__(self, reached: Reached, seconds: float) -> None:
        self._reached = reached
        self._seconds = seconds
        self._start = self._share = 0.0

    def begin(self, start: float) -> None:
        """Starts a stretch, `start` seconds into the recording."""
        self._start = start
        self.until(0.0)

    def until(self, end: float) -> None:
        """Reports that the stretch was transcribed up to `end`, in seconds."""
        self._share = max(self._share, min(1.0, (self._start + end) / self._seconds))
        self.report()

    def report(self) -> None:
        self._reached("text", self._share)


def _refuse_unsupported(model: ShortWindowModel, options: Options) -> None:
    if options.language not in (None, *model.supported_languages):
        message = f"The model {options.model} knows English only. Use a multilingual model, or language en."
        raise UnsupportedOption("language", message)
    multilingual = model.model.is_multilingual
    if options.task == "translate" and (not multilingual or any(name in options.model for name in _TRANSCRIBING_ONLY)):
        message = f"The model {options.model} cannot translate. Use tiny, base, small, medium or large-v3."
        raise UnsupportedOption("model", message)


def _info(language: str, options: Options, hints: Hints) -> TranscriptionInfo:
    return TranscriptionInfo(language, "attention" if options.word_timestamps else "decoded", hints.shortened)


def _segment(number: int, start: float, segment: WhisperSegment) -> Segment:
    """A segment of a stretch that starts `start` seconds into the recording."""
    return Segment(
        id=number,
        seek=segment.seek + round(start * 100),  # OpenAI's `seek` counts the spectrogram's frames, of 10 ms.
        start=_time(start + segment.start),
        end=_time(start + segment.end),
        text=segment.text,
        tokens=segment.tokens,
        temperature=segment.temperature or 0.0,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
        words=[
            Word(_time(start + word.start), _time(start + word.end), word.word, float(word.probability))
            for word in segment.words or ()
        ],
    )


def _time(seconds: float) -> float:
    """A time in whole milliseconds, as a Python float: some of the library's are numpy's."""
    return round(float(seconds), 3)
