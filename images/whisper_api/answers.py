"""How a form with a recording is answered: at once, as a stream, or as a job."""

import asyncio
import threading
from pathlib import Path
from typing import Any, Protocol

from fastapi import Request, Response, UploadFile
from starlette.requests import ClientDisconnect

from whisper_api import audio, formats, inference, jobs
from whisper_api.disconnects import while_connected
from whisper_api.engine import Engine, Options, Transcript
from whisper_api.errors import described
from whisper_api.inference_queue import InferenceQueue
from whisper_api.job_store import Job, Order
from whisper_api.metrics import Metrics
from whisper_api.request_log import entry_of
from whisper_api.settings import Settings
from whisper_api.streaming import EVENT, stream
from whisper_api.uploads import path_of


class Form(Protocol):
    """A recording and what is to be made of it."""

    @property
    def file(self) -> UploadFile: ...

    @property
    def stream(self) -> bool: ...

    @property
    def format(self) -> formats.Format: ...

    @property
    def timestamp_granularities(self) -> list[formats.Granularity]: ...

    def options(self, engine: Engine) -> Options: ...


def described_answers(
    description: str, model: Any, *content_types: str, stream: bool
) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that calls `answer`: its JSON as a model, its other content types, jobs and errors."""
    content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in content_types}
    if stream:
        content["text/event-stream"] = {"schema": EVENT}
    return {
        200: {"description": description, "model": model, "content": content},
        202: {
            "description": "With `Prefer: respond-async`: the job that was made, at the address in `Location`.",
            "model": Job,
            "headers": {"Location": {"description": "Address of the job.", "schema": {"type": "string"}}},
        },
        **described(400, 404, 413, 415, 429, 503),
    }


async def answer(request: Request, form: Form, prefer_async: bool, caller: str | None) -> Response:
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
        order = Order(options, form.format, form.timestamp_granularities, entry.request_id, caller)
        return await jobs.accept(request, path, order)
    if form.stream:
        return await stream(
            request,
            queue,
            lambda go_on, heard: inference.transcribe(engine, path, options, settings.audio_limit, go_on, heard),
            finished,
        )

    def transcribe(cancelled: threading.Event) -> Transcript:
        def go_on() -> None:
            if cancelled.is_set():
                raise ClientDisconnect

        return inference.transcribe(engine, path, options, settings.audio_limit, go_on)

    transcript = await while_connected(request, queue.run(transcribe))
    finished(transcript)
    response = formats.response(transcript, form.format, form.timestamp_granularities)
    response.headers["openai-processing-ms"] = str(round(transcript.engine_seconds * 1000))
    return response


def _prepare(engine: Engine, settings: Settings, form: Form, path: Path) -> Options:
    """What can be told to be wrong before a place in the queue is taken, and what would keep others from the engine."""
    options = form.options(engine)
    audio.check(path, settings.audio_limit)
    engine.prepare(options)
    return options
