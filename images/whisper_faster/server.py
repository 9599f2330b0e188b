"""The faster-whisper server: `uvicorn server:app`."""

from whisper_api.app import create_app
from whisper_api.settings import Settings
from whisper_faster.engine import FasterWhisperEngine

settings = Settings()
app = create_app(FasterWhisperEngine(settings), settings, title="faster-whisper")
