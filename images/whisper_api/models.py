"""GET /v1/models and /v1/models/{id}. Source: `Model` and `ListModelsResponse` of OpenAI's API specification."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from whisper_api import engine
from whisper_api.errors import described

router = APIRouter(tags=["Models"])


class Model(BaseModel):
    """A model on this machine; `created` is when its files came here, in seconds since the epoch."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models", summary="List the models on this machine", responses=described())
async def list_models(request: Request) -> ModelList:
    return ModelList(data=await _models(request.app.state.engine))


@router.get("/v1/models/{model:path}", summary="Describe a model on this machine", responses=described(404))
async def retrieve_model(request: Request, model: str) -> Model:
    speech_engine: engine.Engine = request.app.state.engine
    wanted = await asyncio.to_thread(speech_engine.resolve, model)
    for present in await _models(speech_engine):
        if present.id == wanted:
            return present
    raise engine.ModelNotFound(f"The model {wanted} is not on this machine. It is fetched when it is first used.")


async def _models(speech_engine: engine.Engine) -> list[Model]:
    present = await asyncio.to_thread(speech_engine.models)
    return [Model(id=model.id, created=model.created, owned_by=model.owned_by) for model in present]
