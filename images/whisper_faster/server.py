"""The faster-whisper server: `uvicorn server:app`."""
# The order makes the start short: a thread loads the default model while FastAPI is imported. Hence imports below:
# ruff: noqa: E402

import gc

# Modules stay as long as the process, and collecting garbage among them takes a tenth of the time of their import.
gc.disable()

from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.process import startup
from whisper_server.process.settings import Settings
from whisper_server.work.preload import Preload

settings = Settings()
startup.prepare(settings)
engine = FasterWhisperEngine(settings)
preload = Preload(engine)

from whisper_server.http.app import create_app

app = create_app(engine, settings, title="faster-whisper", preload=preload)

gc.freeze()
gc.enable()
