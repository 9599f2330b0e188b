"""Form fields that the APIs share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form

from whisper_server.http.errors import ApiError
from whisper_server.speech import languages
from whisper_server.speech.engine import Engine
from whisper_server.speech.errors import UnsupportedOption
from whisper_server.speech.options import Speakers

LANGUAGE = "Spoken language as ISO 639 code, BCP 47 tag or English name; detected if not given."
TRACK = "Audio track to transcribe, counted from 1; if not given, the one that a player would play."

# Whisper's prompt is at most half of its 448 tokens: a longer text is never used.
MAX_PROMPT = 10_000
# As in WhisperX; larger batches take memory and are no faster on few cores.
BATCH_SIZE = 4
# No model distinguishes more voices in one recording.
_MOST_SPEAKERS = 100


@dataclass(frozen=True, kw_only=True)
class DiarizationFields:
    """Fields of speaker diarization and alignment."""

    diarize: Annotated[bool, Form(description="Speaker diarization: every segment gets a `speaker`.")] = False
    num_speakers: Annotated[int | None, Form(ge=1, le=_MOST_SPEAKERS, description="Number of speakers, if known.")] = (
        None
    )
    min_speakers: Annotated[int | None, Form(ge=1, le=_MOST_SPEAKERS, description="Minimum number of speakers.")] = None
    max_speakers: Annotated[int | None, Form(ge=1, le=_MOST_SPEAKERS, description="Maximum number of speakers.")] = None
    align: Annotated[
        bool,
        Form(description="Align text and audio for exact timestamps, if there is a model for the language."),
    ] = True

    def speakers(self) -> Speakers:
        """The number of speakers, as far as it is given. Raises ApiError if the fields contradict each other."""
        fewest, most = self.min_speakers, self.max_speakers
        if fewest is not None and most is not None and fewest > most:
            message = f"`min_speakers` ({fewest}) is above `max_speakers` ({most})."
            raise ApiError(400, message, param="min_speakers", code="invalid_parameter")
        if self.num_speakers is None:
            return Speakers(None, fewest, most)
        if not (fewest or 1) <= self.num_speakers <= (most or _MOST_SPEAKERS):
            message = f"`num_speakers` ({self.num_speakers}) contradicts `min_speakers` or `max_speakers`."
            raise ApiError(400, message, param="num_speakers", code="invalid_parameter")
        # Clients that send all fields of a form, such as Swagger UI, send all three.
        return Speakers(self.num_speakers, None, None)


def known_language(given: str, engine: Engine) -> str | None:
    """The code of the requested language, None to detect it. Raises UnsupportedOption."""
    try:
        return languages.language_code(given, engine.languages)
    except ValueError as error:
        message = f"{str(error)[:100]} Give an ISO 639-1 code such as fr, or nothing to have it detected."
        raise UnsupportedOption("language", message) from error
