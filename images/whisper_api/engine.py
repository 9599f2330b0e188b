"""What the HTTP side and a speech engine say to each other.

Data goes one way: a path and options in, a transcription out. Engines know nothing of HTTP, and the errors below carry
what a client has to be told; `whisper_api.errors` gives them their status.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True)
class Options:
    """How one recording is to be transcribed.

    `model` is a canonical id (see `Engine.resolve`), `language` an ISO 639-1 code or None to detect it. `temperature` 0
    lets the engine raise it by itself where its own checks find the text implausible.
    """

    model: str
    task: Task = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    word_timestamps: bool = False
    vad_filter: bool = True


@dataclass(frozen=True)
class Word:
    """One word; times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """One segment with the fields of OpenAI's `TranscriptionSegment`; times in seconds from the start."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: Sequence[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: Sequence[Word] = ()


@dataclass(frozen=True)
class Transcription:
    """A transcription under way: what is known at the start, and the segments as they are decoded.

    `duration` is the recording's length in seconds. Not asking for the next segment is all it takes to cancel.
    """

    model: str
    language: str
    duration: float
    segments: Iterator[Segment]


@dataclass(frozen=True)
class Transcript:
    """A finished transcription. `engine_seconds` is the time from decoding the audio to the last segment."""

    task: Task
    model: str
    language: str
    duration: float
    engine_seconds: float
    segments: Sequence[Segment] = field(default_factory=tuple)

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> list[Word]:
        return [word for segment in self.segments for word in segment.words]


@dataclass(frozen=True)
class Model:
    """A model on this machine; `created` is when its files came here, in seconds since the epoch."""

    id: str
    created: int
    owned_by: str


class Engine(Protocol):
    """A speech engine. Its methods block and are called in worker threads, `transcribe` in one at a time."""

    @property
    def default_model(self) -> str:
        """Canonical id of the model that is loaded at the start."""

    @property
    def languages(self) -> Collection[str]:
        """ISO 639-1 codes that `Options.language` may have."""

    def resolve(self, name: str) -> str:
        """Canonical id of a model's name or alias. Raises ModelNotFound."""

    def models(self) -> Sequence[Model]:
        """The models on this machine, loaded or not."""

    def fetch(self, model: str) -> None:
        """Brings a model's files to this machine unless they are there.

        Raises ModelNotFound, ModelUnavailable.
        """

    def load(self, model: str) -> None:
        """Makes a model ready to transcribe. Raises ModelUnavailable."""

    def transcribe(self, audio: Path, options: Options) -> Transcription:
        """Starts a transcription.

        Raises NotAudio, UndecodableAudio, UnsupportedOption, ModelUnavailable.
        """


class EngineError(Exception):
    """An error whose message is meant for the client: no paths, no secrets, and what to do about it."""


class ModelNotFound(EngineError):
    """There is no such model, or this server may not use it."""


class ModelUnavailable(EngineError):
    """The model exists, but cannot be had now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 30) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAudio(EngineError):
    """The file is of no known format, or holds no sound."""


class UndecodableAudio(EngineError):
    """The file is audio, but broken."""


class UnsupportedOption(EngineError):
    """The model cannot do what an option asks for; `param` is the option's name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
