"""What a speech engine is. A recording, options and a callback go in, events come out."""

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from whisper_server.speech.options import Options
from whisper_server.speech.recording import Recording
from whisper_server.speech.transcript import Segment, TranscriptionInfo

# The stages of a transcription, in this order: decode the file, diarize, transcribe, align the words with the audio.
# Alignment starts during transcription; the stage "alignment" is the part that remains after it.
Stage = Literal["decoding", "speakers", "text", "alignment"]

# Receives a stage and its completed share, from 0 to 1. An exception that it raises cancels the work. It may block for
# minutes while another thread uses the models: requests take precedence over jobs.
Reached = Callable[[Stage, float], None]

# One TranscriptionInfo comes first, then the segments in their order, if there are any.
Event = TranscriptionInfo | Segment


@dataclass(frozen=True)
class Model:
    """A model on this machine; `created` is when it was downloaded, in seconds since the epoch."""

    id: str
    created: int
    owned_by: str


@dataclass(frozen=True)
class Download:
    """Progress of a model's download, in bytes."""

    completed: int
    total: int


class Engine(Protocol):
    """A speech engine. Its methods block and are called in worker threads."""

    @property
    def default_model(self) -> str:
        """Canonical id of the model that is loaded at startup."""

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
        """Downloads a model's files unless they are on this machine.

        Raises ModelNotFound, ModelUnavailable, NoSpace.
        """

    def prepare(self, options: Options) -> None:
        """Downloads whatever a transcription with these options needs.

        Raises what `fetch` raises, DiarizationUnavailable.
        """

    def load(self, model: str) -> None:
        """Loads a model into memory. Raises ModelUnavailable, ModelTooLarge."""

    def unload(self, model: str) -> bool:
        """Frees a model's memory. Returns whether it was in memory. Raises ModelInUse."""

    def unload_unused(self) -> None:
        """Frees the memory of all models that are not in use."""

    def delete(self, model: str) -> None:
        """Deletes a model's files. Raises ModelNotFound, ModelInUse, ModelProtected."""

    def transcribe(self, recording: Recording, options: Options, reached: Reached) -> Generator[Event, None, None]:
        """Transcribes a recording, which must stay open until the generator ends.

        All work is done while the next event is requested. To cancel it, close the generator, which frees the models,
        or raise an exception in `reached`: the thread that requests events calls that at least twice a second, as far
        as the libraries permit. Stages do not recur, and a stage's share never falls.

        Raises UnsupportedOption, ModelUnavailable, ModelTooLarge, DiarizationUnavailable, the last one before anything
        is transcribed.
        """


class Diarization(Protocol):
    """Speaker diarization, which not every engine has."""

    def check(self) -> None:
        """Raises DiarizationUnavailable: why it would fail now, and what to do about it. May contact the Hub."""
