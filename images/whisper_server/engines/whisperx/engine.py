"""WhisperX behind the `Engine` protocol: faster-whisper's text, WhisperX's alignment and diarization.

WhisperX itself transcribes with faster-whisper. Here faster-whisper is called directly, with Silero's voice activity
detection, so that torch is not imported before a request needs it.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from typing import Any

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.engines.whisperx.alignment import Alignment, aligned
from whisper_server.engines.whisperx.diarization import Diarization, speaker_turns
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.engines.whisperx.speakers import at_turns, by_speaker
from whisper_server.engines.whisperx.torch_models import set_threads
from whisper_server.engines.whisperx.turns import SpeakerTurns
from whisper_server.process import cgroup
from whisper_server.speech.engine import Download, Event, Model, Reached, Stage
from whisper_server.speech.options import Options, Speakers
from whisper_server.speech.recording import Recording
from whisper_server.speech.transcript import Segment, TranscriptionInfo

# Batches of windows that are diarized in parallel; each takes 40 to 100 MB for a model's activations.
_DIARIZED_AT_ONCE = 4


class WhisperXEngine:
    """Whisper models of a Hugging Face cache, with alignment and diarization. `Engine` describes the methods."""

    def __init__(self, settings: WhisperXSettings) -> None:
        residency = Residency(settings.ttl)
        self._whisper = FasterWhisperEngine(settings, residency)
        self._alignment = Alignment(settings, residency)
        self.diarization = Diarization(settings, residency)
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
        # All models that share the memory, including those for alignment and diarization.
        return self._whisper.loaded()

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

    def delete(self, model: str) -> None:
        self._whisper.delete(model)

    def transcribe(self, recording: Recording, options: Options, reached: Reached) -> Generator[Event, None, None]:
        # Speakers change between words, and a segment that cannot be aligned keeps its attention timestamps.
        words = options.word_timestamps or options.align or options.speakers is not None
        stages = _InOrder(reached, options.speakers is not None)
        with ExitStack() as using:
            whispered = using.enter_context(
                closing(self._whisper.transcribe(recording, replace(options, word_timestamps=words), stages))
            )
            # First, so that a problem with diarization is not reported after minutes of work.
            pipeline = options.speakers and using.enter_context(self.diarization.pipeline())
            info = next(event for event in whispered if isinstance(event, TranscriptionInfo))
            segments = (event for event in whispered if isinstance(event, Segment))
            first = next(segments, None)
            if first is None:
                yield info
                return
            found: Iterable[Segment] = chain([first], segments)
            aligner = using.enter_context(self._alignment.model(info.language)) if _aligns(options) else None
            if aligner is not None:
                info = replace(info, timing="aligned")
                found = using.enter_context(closing(aligned(found, recording, aligner, self._cores, stages)))
            yield info
            # Not earlier: a recording without speech needs no diarization.
            if options.speakers is not None:
                found = self._with_speakers(pipeline, found, recording, options.speakers, stages)
            if aligner is not None:
                set_threads(1)
            for number, segment in enumerate(found):
                yield replace(segment, id=number)

    def _with_speakers(
        self, pipeline: Any, segments: Iterable[Segment], recording: Recording, speakers: Speakers, stages: "_InOrder"
    ) -> Iterator[Segment]:
        """The segments, split into parts of one speaker each."""
        at_once = min(self._cores, _DIARIZED_AT_ONCE)
        turns = SpeakerTurns(speaker_turns(pipeline, recording, speakers, at_once, stages))
        stages.begin_text()
        return at_turns((part for segment in segments for part in by_speaker(segment, turns)), turns)


class _InOrder:
    """Reports the stages in their order: text that is decoded before diarization only shows whether there is speech."""

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
    """Whether to align words; those of a translation are not in the audio."""
    return options.align and options.task == "transcribe"
