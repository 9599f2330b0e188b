"""Responds to a form with a recording: directly, as a stream, or as a job."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

from fastapi import Request, Response, UploadFile
from starlette.requests import ClientDisconnect

from whisper_server.http import formats, jobs
from whisper_server.http.disconnects import while_connected
from whisper_server.http.errors import error_responses
from whisper_server.http.json_pieces import Granularity
from whisper_server.http.request_log import entry_of
from whisper_server.http.streaming import EVENT, stream
from whisper_server.http.upload_limits import place_of
from whisper_server.http.uploads import HeldUpload
from whisper_server.process.metrics import Metrics
from whisper_server.process.settings import Settings
from whisper_server.speech import decoding
from whisper_server.speech.engine import Engine, Event, Reached
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference
from whisper_server.work.inference_queue import InferenceQueue
from whisper_server.work.job_records import JobRequest


class Form(Protocol):
    """A parsed transcription request: the upload and its options."""

    @property
    def file(self) -> UploadFile:
        """The recording."""

    @property
    def stream(self) -> bool:
        """Whether to send the text as it is decoded."""

    @property
    def format(self) -> formats.Format:
        """Format of the response."""

    @property
    def timestamp_granularities(self) -> list[Granularity]:
        """What a JSON response has besides the text."""

    def options(self, engine: Engine) -> Options:
        """The engine's options. Raises ModelNotFound, UnsupportedOption, and ApiError for contradictory fields."""


def openapi_responses(
    description: str, model: Any, *content_types: str, stream: bool
) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that calls `respond`: its JSON as a model, other content types, jobs and errors."""
    content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in content_types}
    if stream:
        content["text/event-stream"] = {"schema": EVENT}
    return {
        200: {
            "description": description,
            "model": model,
            "content": content,
            "headers": {
                "X-Whisper-Shortened": {
                    "description": "Form fields that were not used in full: `prompt`, `hotwords`. A stream that "
                    "begins before that is known has them in its last event.",
                    "schema": {"type": "string"},
                }
            },
        },
        202: {
            "description": "With `Prefer: respond-async`: the created job; its URL is in `Location`.",
            "model": jobs.Job,
            "headers": {"Location": {"description": "URL of the job.", "schema": {"type": "string"}}},
        },
        **error_responses(400, 404, 413, 415, 429, 503),
    }


async def respond(request: Request, form: Form, prefer_async: bool, caller: str | None) -> Response:
    """The response to a form: a transcript, a stream, or a job. Raises what `http.errors` maps to HTTP."""
    upload = HeldUpload(form.file)
    try:
        return await _respond(request, form, upload, prefer_async, caller)
    except BaseException:
        # Not closed: work may still open it after the client disconnected.
        upload.discard()
        raise


async def _respond(
    request: Request, form: Form, upload: HeldUpload, prefer_async: bool, caller: str | None
) -> Response:
    engine: Engine = request.app.state.engine
    settings: Settings = request.app.state.settings
    queue: InferenceQueue = request.app.state.queue
    preparing: Executor = request.app.state.preparing
    loop = asyncio.get_running_loop()
    waits = prefer_async or queue.requests > 0
    options = await loop.run_in_executor(preparing, _prepare, engine, settings, form, upload, waits)
    entry = entry_of(request)
    entry.model = options.model

    def record(transcript: Transcript) -> None:
        metrics: Metrics = request.app.state.metrics
        metrics.count_work(options.model, caller, transcript.duration, transcript.engine_seconds)
        entry.audio_seconds = transcript.duration
        entry.engine_seconds = transcript.engine_seconds

    def work(reached: Reached, on_event: Callable[[Event], None] = lambda _: None) -> Transcript:
        with upload:
            return inference.transcribe(engine, upload.path, options, settings.audio_limit, reached, on_event=on_event)

    if prefer_async:
        job_request = JobRequest(options, form.format, form.timestamp_granularities, entry.request_id, caller)
        with upload:
            return await jobs.accept(request, upload.path, job_request)
    place_of(request).free_soon()
    if form.stream:
        return await stream(request, queue, work, record)

    def transcribe(cancelled: threading.Event) -> Transcript:
        def reached(*_: object) -> None:
            if cancelled.is_set():
                raise ClientDisconnect

        return work(reached)

    transcript = await while_connected(request, queue.run(transcribe))
    record(transcript)
    response = await asyncio.to_thread(formats.response, transcript, form.format, form.timestamp_granularities)
    response.headers["openai-processing-ms"] = str(round(transcript.engine_seconds * 1000))
    return response


def _prepare(engine: Engine, settings: Settings, form: Form, upload: HeldUpload, waits: bool) -> Options:
    """Validates the request and does slow preparation before it takes a place in the queue.

    A file that need not wait is validated by decoding it.
    """
    options = form.options(engine)
    if waits:
        decoding.check(upload.path, settings.audio_limit, options.track)
    engine.prepare(options)
    return options
