"""The models on this machine: list, download, load, unload, delete.

Source of the objects: `Model`, `ListModelsResponse` and `DeleteModelResponse` of OpenAI's API specification. POST
is an extension, and so is the meaning of DELETE: OpenAI's deletes a fine-tuned model.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from whisper_server.http.errors import ErrorResponse, api_error, error_object, error_responses
from whisper_server.http.streaming import EVENT, event
from whisper_server.speech.engine import Download, Engine
from whisper_server.speech.errors import ModelNotFound, SpeechError

router = APIRouter(tags=["Models"])

_PROGRESS_SECONDS = 0.5

# Parallel downloads; others wait.
_PULLS = 4


class Model(BaseModel):
    """A model on this machine; `created` is when it was downloaded, in seconds since the epoch."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    loaded: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class ModelDeleted(BaseModel):
    """`unloaded` says whether memory was freed, `deleted` whether the files are gone."""

    id: str
    object: Literal["model"] = "model"
    unloaded: bool
    deleted: bool


class PullProgress(BaseModel):
    """Progress of a model's download, in bytes."""

    type: Literal["model.pull.progress"] = "model.pull.progress"
    completed: int
    total: int


class PullDone(BaseModel):
    type: Literal["model.pull.done"] = "model.pull.done"
    model: Model


@dataclass(frozen=True)
class Pull:
    """A model that is being downloaded and loaded; `latest` holds its progress."""

    done: "asyncio.Future[None]"
    latest: deque[Download]


class Pulls:
    """Downloads and loads models in separate threads, because that takes minutes. For one event loop.

    Requests for the same model share a pull. It continues when clients disconnect: the next one uses its result.
    """

    def __init__(self, speech_engine: Engine) -> None:
        self._engine = speech_engine
        self._threads = ThreadPoolExecutor(_PULLS, "pull")
        # Deleting a model's files waits for its download.
        self._removing = ThreadPoolExecutor(1, "remove")
        self._running: dict[str, Pull] = {}

    def pull(self, model: str) -> Pull:
        """Starts the pull of a model, or returns the running one."""
        if model not in self._running:
            latest: deque[Download] = deque(maxlen=1)
            done = asyncio.get_running_loop().run_in_executor(self._threads, self._fetch_and_load, model, latest)
            self._running[model] = Pull(done, latest)
            done.add_done_callback(lambda _: self._ended(model))
        return self._running[model]

    def _ended(self, model: str) -> None:
        done = self._running.pop(model).done
        if not done.cancelled():
            done.exception()  # asyncio logs exceptions that are not retrieved, and the clients may have disconnected

    async def remove(self, model: str) -> None:
        """Deletes a model's files. Raises what `Engine.delete` raises."""
        await asyncio.get_running_loop().run_in_executor(self._removing, self._engine.delete, model)

    def close(self) -> None:
        """Discards waiting pulls, and waits for none."""
        for threads in (self._threads, self._removing):
            threads.shutdown(wait=False, cancel_futures=True)

    def _fetch_and_load(self, model: str, latest: deque[Download]) -> None:
        self._engine.fetch(model, latest.append)
        self._engine.load(model)


async def _resolved(request: Request, model: str) -> str:
    """The canonical id of the model in the URL."""
    speech_engine: Engine = request.app.state.engine
    return await asyncio.to_thread(speech_engine.resolve, model)


_Wanted = Annotated[str, Depends(_resolved)]


@router.get("/v1/models", summary="List the models on this machine", responses=error_responses())
async def list_models(request: Request) -> ModelList:
    return ModelList(data=await asyncio.to_thread(_models, request.app.state.engine))


@router.get("/v1/models/{model:path}", summary="Describe a model on this machine", responses=error_responses(404))
async def retrieve_model(request: Request, wanted: _Wanted) -> Model:
    return await asyncio.to_thread(_model, request.app.state.engine, wanted)


@router.post(
    "/v1/models/{model:path}",
    summary="Download and load a model",
    responses={
        200: {
            "description": "The loaded model, or progress events with `stream`.",
            "model": Model,
            "content": {"text/event-stream": {"schema": EVENT}},
        },
        **error_responses(400, 404, 503),
    },
    response_model=None,
)
async def pull_model(
    request: Request,
    wanted: _Wanted,
    stream: Annotated[bool, Query(description="Send the progress as server-sent events.")] = False,
) -> Response:
    speech_engine: Engine = request.app.state.engine
    pull = request.app.state.pulls.pull(wanted)
    if stream:
        events = _pulled(speech_engine, wanted, pull)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
    # Shielded: a cancelled request must not cancel a pull that others wait for.
    await asyncio.shield(pull.done)
    return JSONResponse((await asyncio.to_thread(_model, speech_engine, wanted)).model_dump())


@router.delete(
    "/v1/models/{model:path}",
    summary="Unload a model, and with `files` delete it",
    responses=error_responses(400, 403, 404, 409),
)
async def delete_model(
    request: Request,
    wanted: _Wanted,
    files: Annotated[bool, Query(description="Delete its files too, if they can be downloaded again.")] = False,
) -> ModelDeleted:
    speech_engine: Engine = request.app.state.engine
    await asyncio.to_thread(_model, speech_engine, wanted)
    unloaded = await asyncio.to_thread(speech_engine.unload, wanted)
    if files:
        await request.app.state.pulls.remove(wanted)
    return ModelDeleted(id=wanted, unloaded=unloaded, deleted=files)


def _models(speech_engine: Engine) -> list[Model]:
    loaded = speech_engine.loaded()
    return [
        Model(id=model.id, created=model.created, owned_by=model.owned_by, loaded=model.id in loaded)
        for model in speech_engine.models()
    ]


def _model(speech_engine: Engine, wanted: str) -> Model:
    for present in _models(speech_engine):
        if present.id == wanted:
            return present
    raise ModelNotFound(f"The model {wanted} is not on this machine. It is downloaded when it is first used.")


async def _pulled(speech_engine: Engine, wanted: str, pull: Pull) -> AsyncIterator[str]:
    """Events of a pull."""
    sent: Download | None = None
    running = True
    while running:
        await asyncio.wait((pull.done,), timeout=_PROGRESS_SECONDS)
        running = not pull.done.done()
        if pull.latest and pull.latest[-1] != sent:
            sent = pull.latest[-1]
            yield event(PullProgress(completed=sent.completed, total=sent.total))
        elif running:
            yield ": the download goes on\n\n"
    try:
        pull.done.result()
    except SpeechError as error:
        yield event(ErrorResponse(error=error_object(api_error(error))))
        return
    yield event(PullDone(model=await asyncio.to_thread(_model, speech_engine, wanted)))
