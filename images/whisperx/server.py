"""The WhisperX server: `uvicorn server:app`."""
# The order makes the start short: a thread loads the default model while FastAPI is imported. Hence imports below:
# ruff: noqa: E402

import gc

# Modules stay as long as the process, and collecting garbage among them takes a tenth of the time of their import.
gc.disable()

from whisper_server.engines.whisperx.engine import WhisperXEngine
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.process import startup
from whisper_server.work.preload import Preload

settings = WhisperXSettings()
startup.prepare(settings)
engine = WhisperXEngine(settings)
preload = Preload(engine, engine.diarization)

from whisper_server.http.app import create_app
from whisper_server.http.openai import routes as openai
from whisper_server.http.whisperx import routes as whisperx

app = create_app(
    engine,
    settings,
    title="WhisperX",
    audio=(whisperx.router, openai.diarized_transcriptions, openai.translations),
    preload=preload,
)

gc.freeze()
gc.enable()
