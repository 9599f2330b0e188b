"""The forms of a server that tells speakers apart: `POST /transcribe`, and OpenAI's with `diarized_json`.

Sources: `CreateTranscriptionRequest` of OpenAI's API specification; for `/transcribe` WhisperX's command line.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import File, Form, UploadFile

from whisper_server.http.errors import ApiError
from whisper_server.http.formats import Format, Granularity
from whisper_server.http.forms import LANGUAGE, TRACK, TranscriptionForm, known_language
from whisper_server.speech.engine import Engine
from whisper_server.speech.options import Options, Speakers

# More voices than that in one recording no model tells apart.
_MOST_SPEAKERS = 100
# WhisperX decodes so many windows at once; more cost memory and gain nothing on few cores.
_BATCH_SIZE = 4


@dataclass(frozen=True, kw_only=True)
class DiarizationFields:
    """Who speaks, and when exactly."""

    diarize: Annotated[bool, Form(description="Tell the speakers apart: every segment gets a `speaker`.")] = False
    num_speakers: Annotated[
        int | None, Form(ge=1, le=_MOST_SPEAKERS, description="Number of speakers, where it is known.")
    ] = None
    min_speakers: Annotated[int | None, Form(ge=1, le=_MOST_SPEAKERS, description="Fewest speakers.")] = None
    max_speakers: Annotated[int | None, Form(ge=1, le=_MOST_SPEAKERS, description="Most speakers.")] = None
    align: Annotated[
        bool,
        Form(description="Align text and sound for exact times, where there is a model for the language."),
    ] = True

    def speakers(self) -> Speakers:
        """What is known of their number. Raises ApiError for a contradiction."""
        fewest, most = self.min_speakers, self.max_speakers
        if fewest is not None and most is not None and fewest > most:
            message = f"`min_speakers` ({fewest}) is above `max_speakers` ({most})."
            raise ApiError(400, message, param="min_speakers", code="invalid_parameter")
        if self.num_speakers is None:
            return Speakers(None, fewest, most)
        if not (fewest or 1) <= self.num_speakers <= (most or _MOST_SPEAKERS):
            message = f"`num_speakers` ({self.num_speakers}) contradicts `min_speakers` or `max_speakers`."
            raise ApiError(400, message, param="num_speakers", code="invalid_parameter")
        # Clients that fill in whole forms, Swagger UI among them, send all three.
        return Speakers(self.num_speakers, None, None)


@dataclass(frozen=True, kw_only=True)
class TranscribeForm(DiarizationFields):
    """A recording to be transcribed, as WhisperX does it."""

    file: Annotated[UploadFile, File(description="The recording: mp3, wav, m4a, flac, ogg, webm, or a video.")]
    model: Annotated[
        str,
        Form(description="tiny, base, small, medium, large-v2, …; the server's when not given."),
    ] = ""
    language: Annotated[str, Form(description=LANGUAGE)] = ""
    task: Annotated[
        Literal["transcribe", "translate"], Form(description="`translate` gives English text, without alignment.")
    ] = "transcribe"
    response_format: Annotated[
        Literal["json", "srt", "vtt", "txt", "tsv"], Form(description="Format of the answer.")
    ] = "json"
    word_timestamps: Annotated[bool, Form(description="Give the words of every segment too.")] = False
    batch_size: Annotated[
        int, Form(ge=1, le=16, description="Windows of 30 s decoded at once: faster for long recordings, less exact.")
    ] = _BATCH_SIZE
    track: Annotated[int | None, Form(ge=1, description=TRACK)] = None

    @property
    def stream(self) -> bool:
        return False

    @property
    def format(self) -> Format:
        return "segments" if self.response_format == "json" else self.response_format

    @property
    def timestamp_granularities(self) -> list[Granularity]:
        return ["segment", "word"] if self.word_timestamps else ["segment"]

    def options(self, engine: Engine) -> Options:
        """What the engine is to do. Raises ModelNotFound, UnsupportedOption, and ApiError for a contradiction."""
        speakers = self.speakers()
        return Options(
            model=engine.resolve(self.model) if self.model else engine.default_model,
            task=self.task,
            language=known_language(self.language, engine),
            word_timestamps=self.word_timestamps,
            batch_size=self.batch_size,
            speakers=speakers if self.diarize else None,
            align=self.align,
            track=self.track,
        )


@dataclass(frozen=True, kw_only=True)
class DiarizedTranscriptionForm(DiarizationFields, TranscriptionForm):
    """A recording to be transcribed, as OpenAI does it; `diarized_json` tells the speakers apart."""

    response_format: Annotated[
        Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"],
        Form(description="Format of the answer; `diarized_json` has the speakers."),
    ] = "json"  # type: ignore[assignment]  # one more than OpenAI's other models have
    batch_size: Annotated[
        int, Form(ge=1, le=16, description="Windows of 30 s decoded at once: faster for long recordings, less exact.")
    ] = _BATCH_SIZE

    def options(self, engine: Engine) -> Options:
        speakers = self.speakers()
        return replace(
            super().options(engine),
            speakers=speakers if self.diarize or self.response_format == "diarized_json" else None,
            align=self.align,
        )
