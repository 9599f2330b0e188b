"""The forms of `/v1/audio/…`: OpenAI's names and defaults, and the usual extensions.

Sources: `CreateTranscriptionRequest`, `CreateTranslationRequest` and `VadConfig` of OpenAI's API specification.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import File, Form, UploadFile
from pydantic import BaseModel, Field, ValidationError

from whisper_server.http.errors import ApiError
from whisper_server.http.form_fields import BATCH_SIZE, LANGUAGE, MAX_PROMPT, TRACK, DiarizationFields, known_language
from whisper_server.http.formats import Format
from whisper_server.http.json_pieces import Granularity
from whisper_server.speech.engine import Engine
from whisper_server.speech.errors import UnsupportedOption
from whisper_server.speech.options import Options, VoiceActivity

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]


class ServerVad(BaseModel, extra="forbid"):
    """OpenAI's `VadConfig`: parameters of voice activity detection."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = VoiceActivity.threshold
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] = VoiceActivity.padding_ms
    silence_duration_ms: Annotated[int, Field(ge=0, le=60_000)] = VoiceActivity.silence_ms


@dataclass(frozen=True, kw_only=True)
class TranslationForm:
    """A recording to be translated into English."""

    file: Annotated[UploadFile, File(description="The recording: mp3, wav, m4a, flac, ogg, webm, or a video.")]
    model: Annotated[str, Form(description="A model's id or alias, see `/v1/models`.")] = "whisper-1"
    prompt: Annotated[
        str,
        Form(
            max_length=MAX_PROMPT, description="Text that sets style and spelling, in the language of the transcript."
        ),
    ] = ""
    response_format: Annotated[ResponseFormat, Form(description="Format of the response.")] = "json"
    temperature: Annotated[
        float,
        Form(ge=0, le=1, description="Sampling temperature; 0 is raised automatically if the text is implausible."),
    ] = 0.0
    stream: Annotated[bool, Form(description="Send the text as it is decoded, as server-sent events.")] = False
    vad_filter: Annotated[bool, Form(description="Skip parts without speech, which prevents hallucinated text.")] = True
    hotwords: Annotated[str, Form(max_length=MAX_PROMPT, description="Names and terms that are likely to occur.")] = ""
    batch_size: Annotated[
        int,
        Form(
            ge=0,
            le=16,
            description="Windows decoded at once; 0: chosen by the server; 1: with earlier text as context.",
        ),
    ] = 0
    track: Annotated[int | None, Form(ge=1, description=TRACK)] = None

    @property
    def format(self) -> Format:
        return self.response_format

    @property
    def timestamp_granularities(self) -> list[Granularity]:
        return ["segment"]

    def options(self, engine: Engine) -> Options:
        """The engine's options. Raises ModelNotFound, UnsupportedOption, and ApiError for contradictory fields."""
        if self.stream and self.response_format not in ("json", "text"):
            message = f"`stream` sends the text alone. Leave out response_format={self.response_format}, or stream."
            raise ApiError(400, message, param="stream", code="unsupported_option")
        return Options(
            model=engine.resolve(self.model),
            task="translate",
            prompt=self.prompt or None,
            temperature=self.temperature,
            hotwords=self.hotwords or None,
            voice_activity=VoiceActivity() if self.vad_filter else None,
            batch_size=self.batch_size or None,
            track=self.track,
        )


@dataclass(frozen=True, kw_only=True)
class TranscriptionForm(TranslationForm):
    """A recording to be transcribed."""

    language: Annotated[str, Form(description=LANGUAGE)] = ""
    granularities: Annotated[
        list[Granularity],
        Form(
            alias="timestamp_granularities[]",
            max_length=8,
            description="What `verbose_json` contains; `segment` if not given.",
            # Without a default, Swagger UI sends an empty item.
            json_schema_extra={"default": ["segment"]},
        ),
    ] = ()  # type: ignore[assignment]  # a field of a dataclass may not default to a list
    chunking_strategy: Annotated[
        str, Form(description='Voice activity detection: `auto`, or a `{"type": "server_vad", …}` object.')
    ] = "auto"
    vad_type: Annotated[str, Form(alias="chunking_strategy[type]")] = ""
    vad_threshold: Annotated[str, Form(alias="chunking_strategy[threshold]")] = ""
    vad_padding: Annotated[str, Form(alias="chunking_strategy[prefix_padding_ms]")] = ""
    vad_silence: Annotated[str, Form(alias="chunking_strategy[silence_duration_ms]")] = ""
    include: Annotated[
        list[Literal["logprobs"]],
        Form(alias="include[]"),
    ] = ()  # type: ignore[assignment]  # a field of a dataclass may not default to a list

    @property
    def timestamp_granularities(self) -> list[Granularity]:
        return list(self.granularities) or ["segment"]

    def options(self, engine: Engine) -> Options:
        if self.include:
            message = "Whisper models provide no `logprobs`. The segments of verbose_json have an avg_logprob each."
            raise UnsupportedOption("include[]", message)
        found = self._voice_activity()
        return replace(
            super().options(engine),
            task="transcribe",
            language=known_language(self.language, engine),
            word_timestamps=self.response_format == "verbose_json" and "word" in self.timestamp_granularities,
            voice_activity=found if self.vad_filter else None,
        )

    def _voice_activity(self) -> VoiceActivity:
        """Parameters of voice activity detection, from fields with brackets, as OpenAI's client sends them, or JSON."""
        if self.chunking_strategy == "auto" and not self.vad_type:
            return VoiceActivity()
        given: Any = {
            "type": self.vad_type,
            "threshold": self.vad_threshold,
            "prefix_padding_ms": self.vad_padding,
            "silence_duration_ms": self.vad_silence,
        }
        try:
            if self.chunking_strategy != "auto":
                given = json.loads(self.chunking_strategy)
            else:
                given = {name: value for name, value in given.items() if value}
            vad = ServerVad.model_validate(given)
        except (ValidationError, ValueError, RecursionError) as error:
            message = '`chunking_strategy` is "auto" or {"type": "server_vad", "threshold": 0.5}, see /docs.'
            raise ApiError(400, message, param="chunking_strategy", code="invalid_parameter") from error
        return VoiceActivity(vad.threshold, vad.prefix_padding_ms, vad.silence_duration_ms)


@dataclass(frozen=True, kw_only=True)
class DiarizedTranscriptionForm(DiarizationFields, TranscriptionForm):
    """A recording to be transcribed; `diarized_json` has speakers."""

    response_format: Annotated[
        Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"],
        Form(description="Format of the response; `diarized_json` has the speakers."),
    ] = "json"  # type: ignore[assignment]  # one more than OpenAI's other models have
    batch_size: Annotated[
        int,
        Form(
            ge=1, le=16, description="Windows decoded at once: more are faster for long recordings, and less accurate."
        ),
    ] = BATCH_SIZE

    def options(self, engine: Engine) -> Options:
        speakers = self.speakers()
        return replace(
            super().options(engine),
            speakers=speakers if self.diarize or self.response_format == "diarized_json" else None,
            align=self.align,
        )
