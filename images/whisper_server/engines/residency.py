"""Which models are in memory, and when they leave it."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from whisper_server.engines import freed_memory
from whisper_server.speech.errors import ModelInUse

_logger = logging.getLogger("whisper_server")

T = TypeVar("T")


@dataclass
class _Resident(Generic[T]):
    model: T
    users: int = 0
    used: float = 0.0
    timer: threading.Timer | None = None


class Residency(Generic[T]):
    """Models by name, loaded on first use and shared; any thread may use them.

    A model is dropped when nobody used it for `ttl` seconds: 0 drops it right after each use, -1 never. Loading and
    unloading exclude each other.
    """

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._residents: dict[str, _Resident[T]] = {}
        # Reentrant: what loads a model may unload others.
        self._lock = threading.RLock()

    def names(self) -> Collection[str]:
        return tuple(self._residents)

    def models(self) -> Mapping[str, T]:
        """The models themselves, without waiting for one that is being loaded. A reference keeps one in memory."""
        return {name: resident.model for name, resident in self._residents.copy().items()}

    def unused(self) -> list[str]:
        """The models that nobody uses, least recently used first."""
        with self._lock:
            unused = [(resident.used, name) for name, resident in self._residents.items() if not resident.users]
        return [name for _, name in sorted(unused)]

    @contextmanager
    def use(self, name: str, load: Callable[[], T]) -> Iterator[T]:
        """The model, made by `load` if it is not in memory, and kept there until the context is left.

        Raises what `load` raises; a second caller waits for the first.
        """
        resident = self._taken(name, load)
        try:
            yield resident.model
        finally:
            freed_memory.give_back()
            self._release(name, resident)

    def unload(self, name: str) -> bool:
        """Whether the model was in memory, which it is not any more. Raises ModelInUse."""
        with self._lock:
            if name not in self._residents:
                return False
            if self._residents[name].users:
                raise ModelInUse(f"The model {name} is at work. Try again when it is done.")
            self._drop(name)
            return True

    def unload_unused(self) -> None:
        with self._lock:
            for name in self.unused():
                self._drop(name)

    def _taken(self, name: str, load: Callable[[], T]) -> _Resident[T]:
        with self._lock:
            if name not in self._residents:
                start = time.monotonic()
                self._residents[name] = _Resident(load())
                _logger.info("loaded %s in %.1f s", name, time.monotonic() - start)
            resident = self._residents[name]
            resident.users += 1
            self._stop_timer(resident)
            return resident

    def _release(self, name: str, resident: _Resident[T]) -> None:
        with self._lock:
            resident.users -= 1
            resident.used = time.monotonic()
            if resident.users or self._ttl < 0:
                return
            # Also for 0 seconds: this thread still has the model, whose memory would not be free yet.
            resident.timer = threading.Timer(self._ttl, self._expire, [name])
            resident.timer.daemon = True
            resident.timer.start()

    def _expire(self, name: str) -> None:
        with self._lock:
            resident = self._residents.get(name)
            # A timer that is stopped too late finds another one in its place, or none.
            if resident is None or resident.timer is not threading.current_thread():
                return
            del resident
            self._drop(name)
        _logger.info("unloaded %s, unused for %g s", name, self._ttl)

    def _drop(self, name: str) -> None:
        self._stop_timer(self._residents.pop(name))
        gc.collect()
        freed_memory.give_back()

    @staticmethod
    def _stop_timer(resident: _Resident[T]) -> None:
        if resident.timer is not None:
            resident.timer.cancel()
            resident.timer = None
