"""An engine that says what a test wrote, when the test lets it."""

import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence

from whisper_server.speech.engine import Download, Event, Model, Reached, Stage
from whisper_server.speech.errors import ModelInUse, ModelNotFound, ModelProtected, SpeechError
from whisper_server.speech.options import Options
from whisper_server.speech.recording import Recording
from whisper_server.speech.transcript import Segment, TranscriptionInfo, Word

MODEL = "scripted/base"


def segment(number: int, text: str, words: Sequence[Word] = ()) -> Segment:
    """A segment of one second."""
    return Segment(
        id=number,
        seek=0,
        start=float(number),
        end=number + 1.0,
        text=text,
        tokens=[50364, 7, 50414],
        temperature=0.0,
        avg_logprob=-0.25,
        compression_ratio=1.5,
        no_speech_prob=0.01,
        words=words,
    )


class ScriptedEngine:
    """Gives `segments`, each when `go` is set, or raises `failure`; works in vain in the stage it `lingers_in`.

    Requests do not linger where it `keeps_jobs_only`.
    """

    default_model = MODEL
    languages = frozenset({"en", "fr"})

    def __init__(self) -> None:
        self.segments = [
            segment(0, " Good morning.", [Word(0.0, 0.4, " Good", 0.9), Word(0.4, 1.0, " morning.", 0.8)]),
            segment(1, " Fine day.", [Word(1.0, 1.5, " Fine", 0.9), Word(1.5, 2.0, " day.", 0.7)]),
        ]
        self.failure: Exception | None = None
        self.load_failure: SpeechError | None = None
        self.preparation_failure: SpeechError | None = None
        self.go = threading.Event()
        self.go.set()
        self.asked: list[Options] = []
        self.heard: list[float] = []
        self.order: list[str] = []
        self.given = 0
        self.lingers_in: Stage | None = None
        self.keeps_jobs_only = False
        self.shortened: Sequence[str] = ()
        self.downloads = [Download(0, 100), Download(100, 100)]
        self.in_memory = {MODEL}
        self.in_use = False

    def resolve(self, name: str) -> str:
        if name not in ("whisper-1", MODEL):
            raise ModelNotFound(f"no {name}")
        return MODEL

    def models(self) -> list[Model]:
        return [Model(id=MODEL, created=1_700_000_000, owned_by="scripted")]

    def loaded(self) -> Collection[str]:
        return self.in_memory

    def fetch(self, model: str, progress: Callable[[Download], None] = lambda _: None) -> None:
        assert model == MODEL
        for download in self.downloads:
            progress(download)

    def prepare(self, options: Options) -> None:
        self.fetch(options.model)
        if self.preparation_failure is not None:
            raise self.preparation_failure

    def load(self, model: str) -> None:
        assert model == MODEL
        if self.load_failure is not None:
            raise self.load_failure
        self.in_memory.add(model)

    def unload(self, model: str) -> bool:
        if self.in_use:
            raise ModelInUse("at work")
        unloaded = model in self.in_memory
        self.in_memory.discard(model)
        return unloaded

    def unload_unused(self) -> None:
        self.in_memory.clear()

    def delete(self, model: str) -> None:
        raise ModelProtected(f"{model} is not yours")

    def transcribe(self, recording: Recording, options: Options, reached: Reached) -> Generator[Event, None, None]:
        self.asked.append(options)
        self.order.append("jobs" if threading.current_thread().name == "jobs" else "request")
        self.heard.append(recording.seconds)
        self.linger("speakers", reached)
        yield TranscriptionInfo(options.language or "en", shortened=self.shortened)
        for number, spoken in enumerate(self._speak()):
            reached("text", number / len(self.segments))
            self.linger("text", reached)
            yield spoken
        self.linger("alignment", reached)

    def linger(self, stage: Stage, reached: Reached) -> None:
        if self.keeps_jobs_only and threading.current_thread().name != "jobs":
            return
        end = time.monotonic() + 30
        while self.lingers_in == stage:
            assert time.monotonic() < end, "nobody ended this"
            reached(stage, 0.5)
            time.sleep(0.01)

    def _speak(self) -> Generator[Segment, None, None]:
        if self.failure is not None:
            raise self.failure
        for spoken in self.segments:
            assert self.go.wait(10), "the test never let the engine go on"
            self.given += 1
            yield spoken
