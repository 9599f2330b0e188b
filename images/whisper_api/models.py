"""The models on this machine, and what is done with one of them.

Source of the objects: `Model`, `ListModelsResponse` and `DeleteModelResponse` of OpenAI's API specification. POST
is ours, and so is what DELETE means: OpenAI's deletes a model that was fine-tuned.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from whisper_api import engine
from whisper_api.errors import ErrorResponse, described, error_object, from_engine
from whisper_api.streaming import EVENT, event

router = APIRouter(tags=["Models"])

_PROGRESS_SECONDS = 0.5


class Model(BaseModel):
    """A model on this machine; `created` is when its files came here, in seconds since the epoch."""

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
    """How much of a model's files is here, in bytes."""

    type: Literal["model.pull.progress"] = "model.pull.progress"
    completed: int
    total: int


class PullDone(BaseModel):
    type: Literal["model.pull.done"] = "model.pull.done"
    model: Model


async def _resolved(request: Request, model: str) -> str:
    """The canonical id of the model in the address."""
    speech_engine: engine.Engine = request.app.state.engine
    return await asyncio.to_thread(speech_engine.resolve, model)


_Wanted = Annotated[str, Depends(_resolved)]


@router.get("/v1/models", summary="List the models on this machine", responses=described())
async def list_models(request: Request) -> ModelList:
    return ModelList(data=await asyncio.to_thread(_models, request.app.state.engine))


@router.get("/v1/models/{model:path}", summary="Describe a model on this machine", responses=described(404))
async def retrieve_model(request: Request, wanted: _Wanted) -> Model:
    return await asyncio.to_thread(_model, request.app.state.engine, wanted)


@router.post(
    "/v1/models/{model:path}",
    summary="Fetch a model's files and load it",
    responses={
        200: {
            "description": "The model is here and loaded; with `stream` the events until then.",
            "model": Model,
            "content": {"text/event-stream": {"schema": EVENT}},
        },
        **described(400, 404, 503),
    },
    response_model=None,
)
async def pull_model(
    request: Request,
    wanted: _Wanted,
    stream: Annotated[bool, Query(description="Tell the progress, as server-sent events.")] = False,
) -> Response:
    speech_engine: engine.Engine = request.app.state.engine
    if stream:
        events = _pulled(speech_engine, wanted)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
    await asyncio.to_thread(speech_engine.fetch, wanted)
    await asyncio.to_thread(speech_engine.load, wanted)
    return JSONResponse((await asyncio.to_thread(_model, speech_engine, wanted)).model_dump())


@router.delete(
    "/v1/models/{model:path}",
    summary="Unload a model, and with `files` delete it",
    responses=described(400, 403, 404, 409),
)
async def delete_model(
    request: Request,
    wanted: _Wanted,
    files: Annotated[bool, Query(description="Delete its files too, where it can be fetched again.")] = False,
) -> ModelDeleted:
    speech_engine: engine.Engine = request.app.state.engine
    await asyncio.to_thread(_model, speech_engine, wanted)
    unloaded = await asyncio.to_thread(speech_engine.unload, wanted)
    if files:
        await asyncio.to_thread(speech_engine.delete, wanted)
    return ModelDeleted(id=wanted, unloaded=unloaded, deleted=files)


def _models(speech_engine: engine.Engine) -> list[Model]:
    loaded = speech_engine.loaded()
    return [
        Model(id=model.id, created=model.created, owned_by=model.owned_by, loaded=model.id in loaded)
        for model in speech_engine.models()
    ]


def _model(speech_engine: engine.Engine, wanted: str) -> Model:
    for present in _models(speech_engine):
        if present.id == wanted:
            return present
    raise engine.ModelNotFound(f"The model {wanted} is not on this machine. It is fetched when it is first used.")


async def _pulled(speech_engine: engine.Engine, wanted: str) -> AsyncIterator[str]:
    """Events of a download, which goes on when the client goes away: what was fetched is of use to the next one."""
    latest: deque[engine.Download] = deque(maxlen=1)

    def pull() -> None:
        speech_engine.fetch(wanted, latest.append)
        speech_engine.load(wanted)

    pulling = asyncio.create_task(asyncio.to_thread(pull))
    told: engine.Download | None = None
    while not pulling.done():
        await asyncio.wait((pulling,), timeout=_PROGRESS_SECONDS)
        if latest and latest[-1] != told:
            told = latest[-1]
            yield event(PullProgress(completed=told.completed, total=told.total))
        elif not pulling.done():
            yield ": the download goes on\n\n"
    try:
        pulling.result()
    except engine.EngineError as error:
        yield event(ErrorResponse(error=error_object(from_engine(error))))
        return
    yield event(PullDone(model=await asyncio.to_thread(_model, speech_engine, wanted)))
