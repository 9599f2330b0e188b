"""faster-whisper behind the `Engine` protocol: CTranslate2 on the CPU or a GPU, no torch."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whisper_api import audio
from whisper_api.engine import Model, Options, Segment, Transcription, UnsupportedOption, Word
from whisper_api.settings import Settings
from whisper_faster.loaded_models import LoadedModels
from whisper_faster.models import ModelCache

if TYPE_CHECKING:
    from faster_whisper.transcribe import Segment as WhisperSegment

# Tried one after the other while a window's text is implausible: the values of OpenAI's reference implementation.
_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class FasterWhisperEngine:
    """Whisper models of a Hugging Face cache, loaded on first use."""

    def __init__(self, settings: Settings) -> None:
        self._cache = ModelCache(settings.model)
        self._loaded = LoadedModels(settings, self._cache.folder)

    @property
    def default_model(self) -> str:
        return self._cache.default_model

    @property
    def languages(self) -> Collection[str]:
        # Imported here, for it would delay the moment from which the server answers.
        from faster_whisper.tokenizer import _LANGUAGE_CODES

        return frozenset(_LANGUAGE_CODES)

    def resolve(self, name: str) -> str:
        return self._cache.resolve(name)

    def models(self) -> Sequence[Model]:
        return self._cache.present()

    def fetch(self, model: str) -> None:
        self._cache.fetch(model)

    def load(self, model: str) -> None:
        self._loaded.get(model)

    def transcribe(self, recording: Path, options: Options) -> Transcription:
        samples = audio.decode(recording)
        duration = len(samples) / audio.SAMPLE_RATE
        if duration == 0:
            return Transcription(options.model, options.language or "en", duration, iter(()))
        model = self._loaded.get(options.model)
        if options.language not in (None, *model.supported_languages):
            message = f"The model {options.model} knows English only. Use a multilingual model, or language en."
            raise UnsupportedOption("language", message)
        segments, info = model.transcribe(
            samples,
            language=options.language,
            task=options.task,
            initial_prompt=options.prompt,
            temperature=options.temperature or _TEMPERATURES,
            word_timestamps=options.word_timestamps,
            vad_filter=options.vad_filter,
        )
        return Transcription(options.model, info.language, duration, self._segments(options.model, segments))

    def _segments(self, model: str, segments: "Iterable[WhisperSegment]") -> Iterator[Segment]:
        for number, segment in enumerate(segments):
            self._loaded.touch(model)
            yield Segment(
                id=number,
                seek=segment.seek,
                start=segment.start,
                end=segment.end,
                text=segment.text,
                tokens=segment.tokens,
                temperature=segment.temperature or 0.0,
                avg_logprob=segment.avg_logprob,
                compression_ratio=segment.compression_ratio,
                no_speech_prob=segment.no_speech_prob,
                words=[Word(word.start, word.end, word.word, word.probability) for word in segment.words or ()],
            )
