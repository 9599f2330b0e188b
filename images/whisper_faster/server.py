"""The faster-whisper server: `uvicorn server:app`."""

from whisper_api import preload
from whisper_api.settings import Settings
from whisper_faster.engine import FasterWhisperEngine

settings = Settings()
engine = FasterWhisperEngine(settings)
preloading = preload.begin(engine, settings)

# Imported only now, for it takes a second core as long as the model takes the first.
from whisper_api.app import create_app  # noqa: E402

app = create_app(engine, settings, title="faster-whisper", preloading=preloading)
