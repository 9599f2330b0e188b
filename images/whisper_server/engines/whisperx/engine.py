"""WhisperX behind the `Engine` protocol: faster-whisper's text, WhisperX's alignment and diarization.

faster-whisper is what WhisperX transcribes with, too. It is driven directly, with Silero's voice activity detection, so
that torch is neither imported nor loaded before a request needs it.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain

from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.engines.whisperx.alignment import Alignment, aligned
from whisper_server.engines.whisperx.diarization import Diarization, speaker_turns
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.engines.whisperx.speakers import at_turns, by_speaker
from whisper_server.engines.whisperx.torch_models import set_threads
from whisper_server.engines.whisperx.turns import SpeakerTurns
from whisper_server.process import cgroup
from whisper_server.speech.audio import Recording
from whisper_server.speech.engine import Download, Model, Options, Reached, Segment, Stage, Transcription

# Batches of windows in which speakers are told apart at once: 40 to 100 MB each, for what a model works with.
_DIARIZED_AT_ONCE = 4


class WhisperXEngine:
    """Whisper models of a Hugging Face cache, and what WhisperX adds to their text."""

    def __init__(self, settings: WhisperXSettings) -> None:
        self._whisper = FasterWhisperEngine(settings)
        self._alignment = Alignment(settings)
        self.diarization = Diarization(settings)
        self._cores = settings.cpu_threads or cgroup.cpu_threads()

    @property
    def default_model(self) -> str:
        return self._whisper.default_model

    @property
    def languages(self) -> Collection[str]:
        return self._whisper.languages

    def resolve(self, name: str) -> str:
        return self._whisper.resolve(name)

    def models(self) -> Sequence[Model]:
        return self._whisper.models()

    def loaded(self) -> Collection[str]:
        return [*self._whisper.loaded(), *self._alignment.loaded(), *self.diarization.loaded()]

    def fetch(self, model: str, progress: Callable[[Download], None] = lambda _: None) -> None:
        self._whisper.fetch(model, progress)

    def prepare(self, options: Options) -> None:
        if options.speakers is not None:
            self.diarization.check()
        self._whisper.prepare(options)
        if _aligns(options) and options.language is not None:
            with self._alignment.model(options.language):
                pass

    def load(self, model: str) -> None:
        self._whisper.load(model)

    def unload(self, model: str) -> bool:
        return self._whisper.unload(model)

    def unload_unused(self) -> None:
        self._whisper.unload_unused()
        self._alignment.unload_unused()
        self.diarization.unload_unused()

    def delete(self, model: str) -> None:
        self._whisper.delete(model)

    def transcribe(self, recording: Recording, options: Options, reached: Reached) -> Transcription:
        # Speakers change between words, and a segment that cannot be aligned keeps the times that it has.
        words = options.word_timestamps or options.align or options.speakers is not None
        stages = _InOrder(reached, options.speakers is not None)
        whispered = self._whisper.transcribe(recording, replace(options, word_timestamps=words), stages)
        transcription = Transcription(whispered.language, whispered.segments, whispered.timing)
        transcription.segments = self._completed(recording, options, stages, whispered, transcription)
        return transcription

    def _completed(
        self,
        recording: Recording,
        options: Options,
        stages: "_InOrder",
        whispered: Transcription,
        transcription: Transcription,
    ) -> Generator[Segment, None, None]:
        """The segments with exact times and speakers. Says of `transcription` what becomes known on the way."""
        with ExitStack() as using:
            using.enter_context(closing(whispered.segments))
            # First of all: what keeps speakers from being told apart must not show after minutes of work.
            pipeline = options.speakers and using.enter_context(self.diarization.pipeline())
            segments = iter(whispered.segments)
            first = next(segments, None)
            transcription.language = whispered.language
            transcription.shortened = whispered.shortened
            if first is None:
                return
            found: Iterable[Segment] = chain([first], segments)
            if _aligns(options):
                model = using.enter_context(self._alignment.model(whispered.language))
                if model is not None:
                    transcription.timing = "aligned"
                    found = using.enter_context(closing(aligned(found, recording, model, self._cores, stages)))
            # Only now, for where nobody speaks there is nobody to be told apart.
            if options.speakers is not None:
                at_once = min(self._cores, _DIARIZED_AT_ONCE)
                turns = SpeakerTurns(speaker_turns(pipeline, recording, options.speakers, at_once, stages))
                stages.begin_text()
                found = at_turns((part for segment in found for part in by_speaker(segment, turns)), turns)
            if transcription.timing == "aligned":
                set_threads(1)
            for number, segment in enumerate(found):
                yield replace(segment, id=number)


class _InOrder:
    """Tells the stages in their order: until it is known who speaks, text is sought only for whether anybody does."""

    def __init__(self, reached: Reached, speakers_first: bool) -> None:
        self._reached = reached
        self._speakers_first = speakers_first

    def begin_text(self) -> None:
        self._speakers_first = False

    def __call__(self, stage: Stage, share: float) -> None:
        if stage == "text" and self._speakers_first:
            stage, share = "speakers", 0.0
        self._reached(stage, share)


def _aligns(options: Options) -> bool:
    """A translation says other words than the sound does."""
    return options.align and options.task == "transcribe"
