"""The form of `POST /transcribe`. Source: WhisperX's command line."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import File, Form, UploadFile

from whisper_server.http.form_fields import BATCH_SIZE, LANGUAGE, MAX_PROMPT, TRACK, DiarizationFields, known_language
from whisper_server.http.formats import Format
from whisper_server.http.json_pieces import Granularity
from whisper_server.speech.engine import Engine
from whisper_server.speech.options import Options


@dataclass(frozen=True, kw_only=True)
class TranscribeForm(DiarizationFields):
    """A recording to be transcribed."""

    file: Annotated[UploadFile, File(description="The recording: mp3, wav, m4a, flac, ogg, webm, or a video.")]
    model: Annotated[
        str,
        Form(description="tiny, base, small, medium, large-v2, …; the server's default if not given."),
    ] = ""
    language: Annotated[str, Form(description=LANGUAGE)] = ""
    task: Annotated[
        Literal["transcribe", "translate"], Form(description="`translate` returns English text, without alignment.")
    ] = "transcribe"
    response_format: Annotated[
        Literal["json", "srt", "vtt", "txt", "tsv"], Form(description="Format of the response.")
    ] = "json"
    word_timestamps: Annotated[bool, Form(description="Include the words of every segment.")] = False
    hotwords: Annotated[str, Form(max_length=MAX_PROMPT, description="Names and terms that are likely to be said.")] = (
        ""
    )
    batch_size: Annotated[
        int,
        Form(
            ge=1, le=16, description="Windows decoded at once: more are faster for long recordings, and less accurate."
        ),
    ] = BATCH_SIZE
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
        """The engine's options. Raises ModelNotFound, UnsupportedOption, and ApiError for contradictory fields."""
        speakers = self.speakers()
        return Options(
            model=engine.resolve(self.model) if self.model else engine.default_model,
            task=self.task,
            language=known_language(self.language, engine),
            word_timestamps=self.word_timestamps,
            hotwords=self.hotwords or None,
            batch_size=self.batch_size,
            speakers=speakers if self.diarize else None,
            align=self.align,
            track=self.track,
        )
