"""GET /health: the process is up. GET /ready: the default model is loaded."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from whisper_server.http.errors import error_responses
from whisper_server.work.preload import DiarizationCheck, Preload

router = APIRouter(tags=["Health"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    model: str
    diarization: DiarizationCheck | None = None


@router.get("/health", summary="Is the process up?")
async def health() -> Health:
    return Health()


@router.get(
    "/ready",
    summary="Is the default model loaded?",
    responses=error_responses(503),
    response_model_exclude_none=True,
)
async def ready(request: Request) -> Ready:
    preload: Preload = request.app.state.preload
    preload.check()
    return Ready(model=request.app.state.engine.default_model, diarization=preload.diarization_check)
