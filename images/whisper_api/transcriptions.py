"""POST /v1/audio/transcriptions. Source: `CreateTranscriptionRequest` of OpenAI's API specification."""

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from starlette.requests import ClientDisconnect

from whisper_api.disconnects import while_connected
from whisper_api.engine import Engine, Options, Segment, Transcript, UnsupportedOption
from whisper_api.errors import described
from whisper_api.formats import Granularity, ResponseFormat, TranscriptionJson, TranscriptionVerboseJson, render
from whisper_api.inference_queue import InferenceQueue
from whisper_api.request_log import entry_of
from whisper_api.uploads import UploadRoute, path_of

router = APIRouter(tags=["Audio"], route_class=UploadRoute)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript in the format asked for.",
        "model": TranscriptionJson | TranscriptionVerboseJson,
        "content": {"text/plain": {"schema": {"type": "string"}}, "text/vtt": {"schema": {"type": "string"}}},
    },
    **described(400, 404, 413, 415, 429, 503),
}


@dataclass(frozen=True)
class TranscriptionForm:
    """The form's fields, under the names and defaults of OpenAI's API."""

    # Swagger UI offers to choose a file only where the format is binary, which FastAPI no longer says.
    file: Annotated[
        UploadFile,
        File(
            description="The recording: mp3, wav, m4a, flac, ogg, webm, or a video.",
            json_schema_extra={"format": "binary"},
        ),
    ]
    model: Annotated[str, Form(description="A model's id or alias, see `/v1/models`.")] = "whisper-1"
    language: Annotated[
        str | None, Form(description="ISO 639-1 code of the language spoken; detected when not given.")
    ] = None
    prompt: Annotated[str | None, Form(description="Text that sets style and spelling, in the same language.")] = None
    response_format: Annotated[ResponseFormat, Form(description="Format of the answer.")] = "json"
    temperature: Annotated[
        float, Form(ge=0, le=1, description="Randomness; at 0 it is raised by itself where the text is implausible.")
    ] = 0.0
    granularities: Annotated[
        list[Granularity] | None,
        Form(alias="timestamp_granularities[]", description="What `verbose_json` holds; `segment` when not given."),
    ] = None
    unbracketed_granularities: Annotated[
        list[Granularity] | None,
        Form(alias="timestamp_granularities", description="The same, for clients that send no brackets."),
    ] = None

    @property
    def timestamp_granularities(self) -> list[Granularity]:
        return [*(self.granularities or []), *(self.unbracketed_granularities or [])] or ["segment"]


@router.post("/v1/audio/transcriptions", summary="Transcribe a recording", responses=_ANSWERS, response_model=None)
async def create_transcription(request: Request, form: Annotated[TranscriptionForm, Depends()]) -> Response:
    # In a thread: an engine may have to look into folders, and the first time to import its library.
    options = await asyncio.to_thread(_options, form, request.app.state.engine)
    transcript = await while_connected(request, _transcribe(request, path_of(form.file), options))
    response = render(transcript, form.response_format, form.timestamp_granularities)
    response.headers["openai-processing-ms"] = str(round(transcript.engine_seconds * 1000))
    return response


def _options(form: TranscriptionForm, engine: Engine) -> Options:
    return Options(
        model=engine.resolve(form.model),
        language=_language(form.language, engine),
        prompt=form.prompt,
        temperature=form.temperature,
        word_timestamps=form.response_format == "verbose_json" and "word" in form.timestamp_granularities,
    )


def _language(given: str | None, engine: Engine) -> str | None:
    # Forms of web pages send an empty field for what was left out.
    if not given or given.lower() in engine.languages:
        return given.lower() if given else None
    raise UnsupportedOption("language", "Unknown language. Give an ISO 639-1 code such as fr, or nothing.")


async def _transcribe(request: Request, audio: Path, options: Options) -> Transcript:
    engine: Engine = request.app.state.engine
    queue: InferenceQueue = request.app.state.queue
    entry = entry_of(request)
    entry.model = options.model
    # A download would keep the engine from everybody else: it is done before the place in the queue is taken.
    await asyncio.to_thread(engine.fetch, options.model)
    transcript = await queue.run(lambda cancelled: _complete(engine, audio, options, cancelled))
    entry.audio_seconds = transcript.duration
    entry.engine_seconds = transcript.engine_seconds
    return transcript


def _complete(engine: Engine, audio: Path, options: Options, cancelled: threading.Event) -> Transcript:
    """The whole transcript; raises ClientDisconnect after the segment during which `cancelled` was set."""
    start = time.monotonic()
    transcription = engine.transcribe(audio, options)
    segments: list[Segment] = []
    for segment in transcription.segments:
        if cancelled.is_set():
            raise ClientDisconnect
        segments.append(segment)
    return Transcript(
        task=options.task,
        model=transcription.model,
        language=transcription.language,
        duration=transcription.duration,
        engine_seconds=time.monotonic() - start,
        segments=segments,
    )
