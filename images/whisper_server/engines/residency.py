"""Keeps models of all kinds in memory, within one budget: loads them on first use and unloads unused ones."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from whisper_server.engines import freed_memory
from whisper_server.process import cgroup
from whisper_server.speech.errors import ModelInUse, ModelTooLarge, ModelUnavailable

_logger = logging.getLogger("whisper_server")

# Memory of the process besides models: libraries, and the processing of one stretch of audio.
_RESERVED_BYTES = 400 * 1024**2

T = TypeVar("T")


@dataclass
class _Resident:
    """A model that is in memory, or being loaded by the thread that holds `loading`.

    Threads that wait for it count as users, so that it is not dropped in the meantime.
    """

    loading: threading.Lock = field(default_factory=threading.Lock)
    is_loaded: bool = False
    model: Any = None
    bytes: int = 0
    users: int = 0
    last_used: float = 0.0
    timer: threading.Timer | None = None


class Residency:
    """Models by name, loaded on first use and shared; any thread may use them.

    All share one memory budget, the container's. A model that is not in use is dropped `ttl` seconds after its last use
    (0: at once, -1: never), or when another one needs its memory, least recently used first.
    """

    def __init__(self, ttl: float, memory_bytes: Callable[[], int] = cgroup.memory_bytes) -> None:
        self._ttl = ttl
        self._memory_bytes = memory_bytes
        self._residents: dict[str, _Resident] = {}
        # Held for bookkeeping only: while a model is loaded, others can be used.
        self._lock = threading.Lock()

    def names(self) -> Collection[str]:
        """The models in memory, without those that are being loaded."""
        return tuple(name for name, resident in self._residents.copy().items() if resident.is_loaded)

    def free_bytes(self) -> int:
        """Bytes of the budget that no model uses; may be negative."""
        with self._lock:
            return self._free_bytes()

    def bytes_of(self, name: str) -> int:
        """Bytes that are counted for a model in memory. Raises KeyError for any other."""
        return self._residents[name].bytes

    @contextmanager
    def use(
        self, name: str, load: Callable[[], T], needed: Callable[[], int], kept: Callable[[T], int] | None = None
    ) -> Iterator[T]:
        """The model, created by `load` if it is not in memory, and kept there until the context is left.

        `needed` returns the bytes that loading it takes, `kept` those of the loaded model if they differ. A second
        caller waits for the first. Raises what these raise, ModelTooLarge, ModelUnavailable.
        """
        resident = self._enter(name)
        try:
            with resident.loading:
                if not resident.is_loaded:
                    self._load(name, resident, load, needed, kept)
            yield resident.model
        finally:
            self._leave(name, resident)

    def unload(self, name: str) -> bool:
        """Drops a model. Returns whether it was in memory. Raises ModelInUse."""
        with self._lock:
            if name not in self._residents:
                return False
            if self._residents[name].users:
                raise ModelInUse(f"The model {name} is in use. Try again when the transcription has finished.")
            self._drop(name)
            return True

    def unload_unused(self) -> None:
        """Drops all models that are not in use."""
        with self._lock:
            for name in self._unused():
                self._drop(name)

    def _enter(self, name: str) -> _Resident:
        with self._lock:
            resident = self._residents.setdefault(name, _Resident())
            resident.users += 1
            _stop_timer(resident)
            return resident

    def _load(
        self,
        name: str,
        resident: _Resident,
        load: Callable[[], T],
        needed: Callable[[], int],
        kept: Callable[[T], int] | None,
    ) -> None:
        size = needed()
        with self._lock:
            self._make_room(name, size)
            resident.bytes = size
        start = time.monotonic()
        try:
            resident.model = load()
            if kept is not None:
                resident.bytes = kept(resident.model)
            resident.is_loaded = True
        except BaseException:
            resident.model, resident.bytes = None, 0
            raise
        _logger.info("loaded %s in %.1f s", name, time.monotonic() - start)

    def _leave(self, name: str, resident: _Resident) -> None:
        with self._lock:
            resident.users -= 1
            resident.last_used = time.monotonic()
            if resident.users:
                return
            if not resident.is_loaded:
                del self._residents[name]
            elif self._ttl >= 0:
                # A timer even for 0 seconds: this thread still refers to the model, so that its memory is not free yet.
                resident.timer = threading.Timer(self._ttl, self._expire, [name])
                resident.timer.daemon = True
                resident.timer.start()

    def _expire(self, name: str) -> None:
        with self._lock:
            resident = self._residents.get(name)
            # A timer that was cancelled too late finds another one in its place, or none.
            if resident is None or resident.timer is not threading.current_thread():
                return
            del resident
            self._drop(name)
        _logger.info("unloaded %s, unused for %g s", name, self._ttl)

    def _make_room(self, name: str, needed: int) -> None:
        """Drops models that are not in use, least recently used first, until another one with `needed` bytes fits."""
        if needed <= 0:
            return
        budget = self._memory_bytes() - _RESERVED_BYTES
        if needed > budget:
            raise ModelTooLarge(
                f"The model {name} needs {needed / 1e6:.0f} MB of memory, this server has {max(budget, 0) / 1e6:.0f} "
                "MB for models. Use a smaller model."
            )
        for other in self._unused():
            if self._free_bytes() >= needed:
                return
            self._drop(other)
            _logger.info("unloaded %s to make room for %s", other, name)
        if self._free_bytes() < needed:
            raise ModelUnavailable(f"There is no memory for the model {name} while other models are in use.")

    def _free_bytes(self) -> int:
        taken = sum(resident.bytes for resident in self._residents.values())
        return self._memory_bytes() - _RESERVED_BYTES - taken

    def _unused(self) -> list[str]:
        """The models that are not in use, least recently used first."""
        unused = [(resident.last_used, name) for name, resident in self._residents.items() if not resident.users]
        return [name for _, name in sorted(unused)]

    def _drop(self, name: str) -> None:
        _stop_timer(self._residents.pop(name))
        gc.collect()
        freed_memory.give_back()


def _stop_timer(resident: _Resident) -> None:
    if resident.timer is not None:
        resident.timer.cancel()
        resident.timer = None
