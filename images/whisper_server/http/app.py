"""The application: routes, middleware, and the state that lives as long as the server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from whisper_server.http import errors, health, jobs, metrics, models, request_log
from whisper_server.http.docs import add_docs
from whisper_server.http.lingering_close import LingeringClose
from whisper_server.http.openai import routes as openai
from whisper_server.http.plain_http import PlainHttp
from whisper_server.http.upload_limits import PLACES, UploadPlaces
from whisper_server.process.metrics import Metrics
from whisper_server.process.settings import Settings
from whisper_server.speech.decoder_process import PROCESSES
from whisper_server.speech.engine import Engine
from whisper_server.work.inference_queue import InferenceQueue
from whisper_server.work.job_store import JobStore
from whisper_server.work.job_worker import JobWorker
from whisper_server.work.preload import Preload

_OPENAI = (openai.transcriptions, openai.translations)


def create_app(
    engine: Engine,
    settings: Settings,
    title: str,
    *,
    audio: Sequence[APIRouter] = _OPENAI,
    preload: Preload | None = None,
) -> FastAPI:
    """An ASGI application that serves an engine; `preload` may already be loading its default model.

    `audio` has the routes that take recordings. Raises OSError if the data folder cannot be written.
    """
    PROCESSES.start()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        app.state.queue.close()
        app.state.preparing.shutdown(wait=False, cancel_futures=True)
        app.state.pulls.close()
        await asyncio.to_thread(worker.close)

    app = FastAPI(title=title, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    app.state.settings = settings
    app.state.engine = engine
    app.state.queue = InferenceQueue(settings.queue_length)
    app.state.uploads = UploadPlaces()
    # Checks made before queueing may take minutes, because they download models. There is a thread for each accepted
    # upload, so that none waits for the download of another.
    app.state.preparing = ThreadPoolExecutor(PLACES, "prepare")
    app.state.pulls = models.Pulls(engine)
    app.state.preload = preload or Preload(engine)
    app.state.metrics = Metrics()
    app.state.jobs = JobStore(settings)
    worker = JobWorker(
        engine, app.state.queue, app.state.jobs, settings.audio_limit, app.state.metrics, errors.failure_of
    )
    for router in (*audio, models.router, jobs.router, health.router, metrics.router):
        app.include_router(router)
    add_docs(app, engine)
    errors.add_handlers(app)
    app.add_middleware(PlainHttp)
    app.add_middleware(LingeringClose)
    app.add_middleware(request_log.RequestLog, metrics=app.state.metrics)
    return app
