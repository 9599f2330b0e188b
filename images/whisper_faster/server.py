"""The faster-whisper server: `uvicorn server:app`. Its start is a matter of what happens in which order."""
# The model's loading begins between the imports, hence:
# ruff: noqa: E402

import gc

# Modules stay as long as the process. To look for rubbish among them takes a tenth of the time that their import takes.
gc.disable()

from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.process.settings import Settings
from whisper_server.work import preload

settings = Settings()
engine = FasterWhisperEngine(settings)
preloading = preload.begin(engine, settings)

# FastAPI and the routes, while the model is loaded.
from whisper_server.http.app import create_app

app = create_app(engine, settings, title="faster-whisper", preloading=preloading)

gc.freeze()
gc.enable()
