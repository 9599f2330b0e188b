"""GET /health: the process answers. GET /ready: the default model was loaded."""

import asyncio
import logging
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from whisper_api.engine import Engine, EngineError, ModelUnavailable
from whisper_api.errors import described

router = APIRouter(tags=["Health"])
_logger = logging.getLogger("whisper_api")


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    model: str


class Preload:
    """Loads the default model while the server is already listening."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failure: EngineError | None = None
        self._done = False

    async def run(self) -> None:
        try:
            await asyncio.to_thread(self._load)
        except EngineError as error:
            self._failure = error
            _logger.error("The default model %s was not loaded: %s", self._engine.default_model, error)
        else:
            self._done = True
            _logger.info("ready")

    def _load(self) -> None:
        self._engine.fetch(self._engine.default_model)
        self._engine.load(self._engine.default_model)

    def check(self) -> None:
        """Raises why the model is not loaded, ModelUnavailable while it still is being loaded."""
        if self._failure is not None:
            raise self._failure
        if not self._done:
            raise ModelUnavailable("The model is being loaded.", retry_after=1)


@router.get("/health", summary="Is the process up?")
async def health() -> Health:
    return Health()


@router.get("/ready", summary="Has the default model been loaded?", responses=described(503))
async def ready(request: Request) -> Ready:
    preload: Preload = request.app.state.preload
    preload.check()
    return Ready(model=request.app.state.engine.default_model)
