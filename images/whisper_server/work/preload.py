"""Loads the default model while the rest of the server is imported, and checks whether diarization is possible."""

import logging
import threading

from pydantic import BaseModel

from whisper_server.speech.engine import Diarization, Engine
from whisper_server.speech.errors import DiarizationUnavailable, ModelUnavailable, SpeechError

_logger = logging.getLogger("whisper_server")

# Seconds until the next attempt: by then the Hub may respond again, or memory may be free.
_RETRY_SECONDS = 30.0


class DiarizationCheck(BaseModel):
    """Whether diarization was available when the server started, and if not, why."""

    available: bool
    message: str | None = None


class Preload:
    """Loads an engine's default model in a separate thread, and retries until it succeeds."""

    def __init__(self, engine: Engine, diarization: Diarization | None = None) -> None:
        self._engine = engine
        self._diarization = diarization
        self.diarization_check: DiarizationCheck | None = None
        self._failure: SpeechError | None = None
        self._done = False
        # A daemon thread: a running download must not keep the process from stopping.
        self._thread = threading.Thread(target=self._run, name="preload", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        checking = threading.Thread(target=self._check_diarization, name="diarization check", daemon=True)
        checking.start()
        while not self._load():
            threading.Event().wait(_RETRY_SECONDS)
        checking.join()
        _logger.info("ready")
        self._done = True
        # The thread must not end: when the thread that loaded a model has ended, CTranslate2 4.8.5 takes three times
        # the CPU time for the same recording. Executor threads, which load other models, do not end either.
        threading.Event().wait()

    def _load(self) -> bool:
        """Tries once, and returns whether it succeeded. Otherwise sets `_failure`, and logs it if it is a new one."""
        logged = str(self._failure)
        try:
            self._engine.fetch(self._engine.default_model)
            self._engine.load(self._engine.default_model)
        except SpeechError as error:
            self._failure = error
            if str(error) != logged:
                _logger.error("The default model %s was not loaded: %s", self._engine.default_model, error)
            return False
        except Exception:
            self._failure = ModelUnavailable("The model cannot be loaded; the server's log says why.")
            if str(self._failure) != logged:
                _logger.exception("The default model %s was not loaded", self._engine.default_model)
            return False
        return True

    def _check_diarization(self) -> None:
        if self._diarization is None:
            return
        try:
            self._diarization.check()
        except DiarizationUnavailable as error:
            self.diarization_check = DiarizationCheck(available=False, message=str(error))
            _logger.warning("diarization is unavailable: %s", error)
        except Exception:
            message = "Whether diarization is available could not be checked; the server's log says why."
            self.diarization_check = DiarizationCheck(available=False, message=message)
            _logger.exception("diarization cannot be checked")
        else:
            self.diarization_check = DiarizationCheck(available=True)
            _logger.info("diarization is available")

    def check(self) -> None:
        """Raises the last error if the model could not be loaded, ModelUnavailable while it is being loaded."""
        if self._done:
            return
        if self._failure is not None:
            raise self._failure
        raise ModelUnavailable("The model is being loaded.", retry_after=1)
