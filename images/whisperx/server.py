"""The WhisperX server: `uvicorn server:app`. Its start is a matter of what happens in which order."""
# The model's loading begins between the imports, hence:
# ruff: noqa: E402

import gc

# Modules stay as long as the process. To look for rubbish among them takes a tenth of the time that their import takes.
gc.disable()

from whisper_server.engines.whisperx.engine import WhisperXEngine
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.work import preload

settings = WhisperXSettings()
engine = WhisperXEngine(settings)
preloading = preload.begin(engine, settings, engine.diarization)

# FastAPI and the routes, while the model is loaded.
from whisper_server.http import speaker_transcriptions, translations
from whisper_server.http.app import create_app

app = create_app(
    engine,
    settings,
    title="WhisperX",
    audio=(speaker_transcriptions.router, translations.router),
    preloading=preloading,
)

gc.freeze()
gc.enable()
