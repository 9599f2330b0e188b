"""What the HTTP side and a speech engine say to each other.

Data goes one way: a recording and options in, a transcription out. Engines know nothing of HTTP, and the errors below
carry what a client has to be told; `whisper_server.http.errors` gives them their status.
"""

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from whisper_server.speech.audio import Recording

Task = Literal["transcribe", "translate"]

# How times were found: by aligning text and sound, from the decoder's attention, or as the decoder wrote them.
Timing = Literal["aligned", "attention", "decoded"]

# The stages of a transcription, in this order: decode the file, diarize, transcribe, align the words with the audio.
# Alignment starts during transcription; the stage "alignment" is the part that remains after it.
Stage = Literal["decoding", "speakers", "text", "alignment"]

# Receives a stage and its completed share, from 0 to 1. An exception that it raises ends the work. It may block for
# minutes while another thread uses the models: requests take precedence over jobs.
Reached = Callable[[Stage, float], None]

UNKNOWN_SPEAKER = "UNKNOWN"


@dataclass(frozen=True)
class VoiceActivity:
    """How speech is told from silence, music and noise before anything is transcribed.

    `threshold` is the probability of speech from which a moment counts as speech; speech is `padding_ms` longer at both
    ends than it was found to be, and ends where there is none for `silence_ms`.
    """

    threshold: float = 0.5
    padding_ms: int = 400
    silence_ms: int = 2000


@dataclass(frozen=True)
class Speakers:
    """What is known of the number of speakers who are to be told apart."""

    number: int | None = None
    fewest: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Options:
    """How one recording is to be transcribed.

    `model` is a canonical id (see `Engine.resolve`), `language` an ISO 639-1 code or None to detect it. `temperature` 0
    lets the engine raise it by itself where its own checks find the text implausible. `voice_activity` None transcribes
    everything. A `batch_size` above 1 transcribes so many windows at once: faster, without the context of earlier text;
    None leaves it to the engine.
    `speakers` None does not tell speakers apart. `align` asks for the most exact times that the engine can find.
    `track` is the number of an audio track, from 1; None is the one that a player would play.
    """

    model: str
    task: Task = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    hotwords: str | None = None
    word_timestamps: bool = False
    voice_activity: VoiceActivity | None = VoiceActivity()
    batch_size: int | None = None
    speakers: Speakers | None = None
    align: bool = False
    track: int | None = None


@dataclass(frozen=True)
class Word:
    """One word; times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
    probability: float
    speaker: str | None = None


@dataclass(frozen=True)
class Segment:
    """One segment with the fields of OpenAI's `TranscriptionSegment`; times in seconds from the start.

    `speaker` is None when speakers were not asked for, and UNKNOWN_SPEAKER where none can be told.
    """

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
    speaker: str | None = None


@dataclass
class Transcription:
    """A transcription under way; all work is done while the next segment is asked for.

    `language`, `timing` and `shortened` are right when the first segment is there, or no segment is left. Not asking
    for the next segment is all it takes to cancel; closing `segments` then frees the model.
    """

    language: str
    segments: Generator[Segment, None, None]
    timing: Timing = "decoded"
    shortened: Sequence[str] = ()


@dataclass(frozen=True)
class Transcript:
    """A finished transcription.

    `engine_seconds` is the time from decoding the audio to the last segment. Times rise, and lie within the recording.
    `shortened` are the names of the options of which the model did not read everything: `prompt`, `hotwords`.
    """

    task: Task
    model: str
    language: str
    duration: float
    engine_seconds: float
    segments: Sequence[Segment] = field(default_factory=tuple)
    timing: Timing = "decoded"
    shortened: Sequence[str] = ()

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


@dataclass(frozen=True)
class Download:
    """How far the files of a model have come, in bytes."""

    completed: int
    total: int


class Engine(Protocol):
    """A speech engine. Its methods block and are called in worker threads; one segment is asked for at a time."""

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

    def loaded(self) -> Collection[str]:
        """Ids of the models in memory."""

    def fetch(self, model: str, progress: Callable[[Download], None] = ...) -> None:
        """Brings a model's files to this machine unless they are there.

        Raises ModelNotFound, ModelUnavailable, NoSpace.
        """

    def prepare(self, options: Options) -> None:
        """Brings to this machine all that a transcription with these options needs, as `fetch` does.

        Raises what `fetch` raises, DiarizationUnavailable.
        """

    def load(self, model: str) -> None:
        """Makes a model ready to transcribe. Raises ModelUnavailable."""

    def unload(self, model: str) -> bool:
        """Frees a model's memory; whether it was in memory. Raises ModelInUse."""

    def unload_unused(self) -> None:
        """Frees the memory of all models that nobody uses."""

    def delete(self, model: str) -> None:
        """Deletes a model's files. Raises ModelNotFound, ModelInUse, ModelProtected."""

    def transcribe(self, recording: "Recording", options: Options, reached: Reached) -> Transcription:
        """Starts a transcription of a recording that stays open until the last segment.

        `reached` is called by the thread that asks for segments: at least twice a second, as far as the libraries let
        go in that time. Stages do not return, and a stage's share never falls.

        The segments raise UnsupportedOption, ModelUnavailable, ModelTooLarge, DiarizationUnavailable; the last one
        before anything is transcribed.
        """


class Diarization(Protocol):
    """Telling speakers apart, which not every engine can."""

    def check(self) -> None:
        """Raises DiarizationUnavailable: why it would fail now, and what to do about it. May ask the hub."""


class EngineError(Exception):
    """An error whose message is meant for the client: no paths, no secrets, and what to do about it."""


class ModelNotFound(EngineError):
    """There is no such model, or this server may not use it."""


class ModelUnavailable(EngineError):
    """The model exists, but cannot be had now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 30) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DiarizationUnavailable(EngineError):
    """Speakers cannot be told apart; `retry_after` is in seconds, None where waiting does not help."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoSpace(EngineError):
    """There is no room on the disk for a model or a recording; `param` says which of the request's."""

    def __init__(self, message: str, param: str = "model") -> None:
        super().__init__(message)
        self.param = param


class ModelTooLarge(EngineError):
    """The model does not fit into the memory that this server may use."""


class ModelInUse(EngineError):
    """A transcription uses the model at the moment."""


class ModelProtected(EngineError):
    """The model's files are not for clients to delete."""


class NotAudio(EngineError):
    """The file is of no known format, or holds no sound."""


class UndecodableAudio(EngineError):
    """The file is audio, but broken."""


class AudioTooLong(EngineError):
    """The recording is longer than this server takes."""


class UnsupportedOption(EngineError):
    """The model cannot do what an option asks for; `param` is the option's name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
