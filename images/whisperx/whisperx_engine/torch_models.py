"""Models of torch: loaded on first use, shared, and dropped when nobody used them for a while."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from whisper_api.settings import Settings
from whisper_faster import freed_memory

_logger = logging.getLogger("whisper_api")


@dataclass
class _Loaded:
    model: Any
    used: float = field(default_factory=time.monotonic)
    users: int = 0


class TorchModels:
    """Models by name; `ttl` is in seconds, -1 for ever."""

    def __init__(self, ttl: int) -> None:
        self._ttl = ttl
        self._models: dict[str, _Loaded] = {}
        self._lock = threading.Lock()

    def names(self) -> Collection[str]:
        return tuple(self._models)

    @contextmanager
    def use(self, name: str, load: Callable[[], Any]) -> Iterator[Any]:
        """The model, made by `load` if it is not in memory, and kept there until the context is left.

        Raises what `load` raises; a second caller waits for the first.
        """
        with self._lock:
            if name not in self._models:
                start = time.monotonic()
                self._models[name] = _Loaded(load())
                _logger.info("loaded %s in %.1f s", name, time.monotonic() - start)
                self._look_again(name, self._ttl)
            loaded = self._models[name]
            loaded.users += 1
        try:
            yield loaded.model
        finally:
            freed_memory.give_back()
            with self._lock:
                loaded.users -= 1
                loaded.used = time.monotonic()

    def unload_unused(self) -> None:
        with self._lock:
            for name in [name for name, loaded in self._models.items() if not loaded.users]:
                del self._models[name]
            give_memory_back()

    def _look_again(self, name: str, seconds: float) -> None:
        if seconds < 0:
            return
        timer = threading.Timer(seconds, self._forget_unused, [name])
        timer.daemon = True
        timer.start()

    def _forget_unused(self, name: str) -> None:
        with self._lock:
            if name not in self._models:
                return
            loaded = self._models[name]
            left = self._ttl if loaded.users else loaded.used + self._ttl - time.monotonic()
            if left > 0:
                self._look_again(name, left)
                return
            del self._models[name], loaded
            give_memory_back()
        _logger.info("unloaded %s, unused for %d s", name, self._ttl)


def give_memory_back() -> None:
    """Gives the system what torch has freed: glibc keeps it for the next wish, and a container's limit counts it."""
    gc.collect()
    freed_memory.give_back()


def set_threads(count: int) -> None:
    """torch's threads from now on; they share what is pieces of microseconds, and to wake one takes longer than those.

    In a virtual machine with two processors, diarization of 30 s took 2.4 s with one thread and 10.3 s with two.
    """
    import torch

    torch.set_num_threads(count)


def device(settings: Settings) -> str:
    """torch's name of the device that is set."""
    import torch

    if settings.inference_device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return settings.inference_device
