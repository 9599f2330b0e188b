"""An engine that says what a test wrote, when the test lets it."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from whisper_api.engine import EngineError, Model, ModelNotFound, Options, Segment, Transcription, Word

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
    """Gives `segments`, each when `go` is set, or raises `failure`."""

    default_model = MODEL
    languages = frozenset({"en", "fr"})

    def __init__(self) -> None:
        self.segments = [
            segment(0, " Good morning.", [Word(0.0, 0.4, " Good", 0.9), Word(0.4, 1.0, " morning.", 0.8)]),
            segment(1, " Fine day.", [Word(1.0, 1.5, " Fine", 0.9), Word(1.5, 2.0, " day.", 0.7)]),
        ]
        self.failure: Exception | None = None
        self.load_failure: EngineError | None = None
        self.go = threading.Event()
        self.go.set()
        self.asked: list[Options] = []
        self.heard: list[bytes] = []
        self.given = 0

    def resolve(self, name: str) -> str:
        if name not in ("whisper-1", MODEL):
            raise ModelNotFound(f"no {name}")
        return MODEL

    def models(self) -> list[Model]:
        return [Model(id=MODEL, created=1_700_000_000, owned_by="scripted")]

    def fetch(self, model: str) -> None:
        assert model == MODEL

    def load(self, model: str) -> None:
        assert model == MODEL
        if self.load_failure is not None:
            raise self.load_failure

    def transcribe(self, audio: Path, options: Options) -> Transcription:
        self.asked.append(options)
        self.heard.append(audio.read_bytes())
        if self.failure is not None:
            raise self.failure
        return Transcription(MODEL, options.language or "en", float(len(self.segments)), self._speak())

    def _speak(self) -> Iterator[Segment]:
        for spoken in self.segments:
            assert self.go.wait(10), "the test never let the engine go on"
            self.given += 1
            yield spoken
