"""Which models are in memory, and when they leave it."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whisper_api import cgroup
from whisper_api.engine import ModelUnavailable
from whisper_api.settings import Settings

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

_logger = logging.getLogger("whisper_api")


@dataclass
class _Loaded:
    model: "WhisperModel"
    used: float


class LoadedModels:
    """Models by id; each is forgotten when nobody touched it for `settings.ttl` seconds."""

    def __init__(self, settings: Settings, folder: Callable[[str], Path]) -> None:
        self._settings = settings
        self._folder = folder
        self._models: dict[str, _Loaded] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> "WhisperModel":
        """The model, loaded if it is not. Raises ModelUnavailable; a second caller waits for the first."""
        with self._lock:
            if name not in self._models:
                self._models[name] = _Loaded(self._load(name), time.monotonic())
                self._look_again(name, self._settings.ttl)
            loaded = self._models[name]
            loaded.used = time.monotonic()
            return loaded.model

    def touch(self, name: str) -> None:
        """Keeps a model that is at work from being forgotten."""
        with self._lock:
            if name in self._models:
                self._models[name].used = time.monotonic()

    def _load(self, name: str) -> "WhisperModel":
        folder = self._folder(name)
        start = time.monotonic()
        # Imported here, for it would delay the moment from which the server answers.
        from faster_whisper import WhisperModel

        try:
            model = WhisperModel(
                str(folder),
                device=self._settings.inference_device,
                compute_type=self._settings.compute_type,
                cpu_threads=self._settings.cpu_threads or cgroup.cpu_threads(),
            )
        except (RuntimeError, ValueError) as error:
            # What CTranslate2 says names paths and devices of this machine: it is for the log.
            _logger.exception("%s cannot be loaded", name)
            raise ModelUnavailable(
                f"The model {name} cannot be loaded; the server's log says why. Its files may have to be fetched again."
            ) from error
        _logger.info("loaded %s in %.1f s", name, time.monotonic() - start)
        return model

    def _look_again(self, name: str, seconds: float) -> None:
        if seconds < 0:
            return
        timer = threading.Timer(seconds, self._forget_unused, [name])
        timer.daemon = True
        timer.start()

    def _forget_unused(self, name: str) -> None:
        with self._lock:
            left = self._models[name].used + self._settings.ttl - time.monotonic()
            if left > 0:
                self._look_again(name, left)
                return
            del self._models[name]
        _logger.info("unloaded %s, unused for %d s", name, self._settings.ttl)
