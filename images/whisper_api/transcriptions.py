"""POST /v1/audio/transcriptions and /v1/audio/translations: at once, as a stream, or as a job."""

import asyncio
import threading
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from whisper_api import audio, formats, inference, jobs
from whisper_api.disconnects import while_connected
from whisper_api.engine import Engine, Options, Segment, Transcript
from whisper_api.errors import described
from whisper_api.forms import TranscriptionForm, TranslationForm
from whisper_api.inference_queue import InferenceQueue
from whisper_api.job_store import Job, Order
from whisper_api.metrics import Metrics
from whisper_api.request_log import entry_of
from whisper_api.settings import Settings
from whisper_api.streaming import EVENT, stream
from whisper_api.uploads import UploadRoute, path_of

router = APIRouter(tags=["Audio"], route_class=UploadRoute)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript in the format asked for, or with `stream` its events.",
        "model": formats.TranscriptionJson | formats.TranscriptionVerboseJson,
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "text/vtt": {"schema": {"type": "string"}},
            "text/event-stream": {"schema": EVENT},
        },
    },
    202: {
        "description": "With `Prefer: respond-async`: the job that was made, at the address in `Location`.",
        "model": Job,
        "headers": {"Location": {"description": "Address of the job.", "schema": {"type": "string"}}},
    },
    **described(400, 404, 413, 415, 429, 503),
}


@router.post("/v1/audio/transcriptions", summary="Transcribe a recording", responses=_ANSWERS, response_model=None)
async def create_transcription(
    request: Request,
    form: Annotated[TranscriptionForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await _answer(request, form, prefer_async, caller)


@router.post(
    "/v1/audio/translations", summary="Translate a recording into English", responses=_ANSWERS, response_model=None
)
async def create_translation(
    request: Request,
    form: Annotated[TranslationForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await _answer(request, form, prefer_async, caller)


async def _answer(request: Request, form: TranslationForm, prefer_async: bool, caller: str | None) -> Response:
    engine: Engine = request.app.state.engine
    settings: Settings = request.app.state.settings
    queue: InferenceQueue = request.app.state.queue
    path = path_of(form.file)
    options = await asyncio.to_thread(_prepare, engine, settings, form, path)
    entry = entry_of(request)
    entry.model = options.model

    def finished(transcript: Transcript) -> None:
        metrics: Metrics = request.app.state.metrics
        metrics.count_work(options.model, transcript.duration, transcript.engine_seconds)
        entry.audio_seconds = transcript.duration
        entry.engine_seconds = transcript.engine_seconds

    if prefer_async:
        order = Order(options, form.response_format, form.timestamp_granularities, entry.request_id, caller)
        return await jobs.accept(request, path, order)
    if form.stream:
        return await stream(
            request,
            queue,
            lambda heard: inference.transcribe(engine, path, options, settings.audio_limit, heard),
            finished,
        )

    def transcribe(cancelled: threading.Event) -> Transcript:
        def heard(_: Segment, __: float) -> None:
            if cancelled.is_set():
                raise ClientDisconnect

        return inference.transcribe(engine, path, options, settings.audio_limit, heard)

    transcript = await while_connected(request, queue.run(transcribe))
    finished(transcript)
    response = formats.response(transcript, form.response_format, form.timestamp_granularities)
    response.headers["openai-processing-ms"] = str(round(transcript.engine_seconds * 1000))
    return response


def _prepare(engine: Engine, settings: Settings, form: TranslationForm, path: Path) -> Options:
    """What can be told to be wrong before a place in the queue is taken, and what would keep others from the engine."""
    options = form.options(engine)
    audio.check(path, settings.audio_limit)
    engine.fetch(options.model)
    return options
