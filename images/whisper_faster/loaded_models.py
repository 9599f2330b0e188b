"""Which models are in memory, and when they leave it."""

import gc
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import ctranslate2

from whisper_api import cgroup
from whisper_api.engine import ModelInUse, ModelTooLarge, ModelUnavailable
from whisper_api.settings import Settings
from whisper_faster import freed_memory, window_threads
from whisper_faster.short_windows import Encode, ShortWindowModel

_logger = logging.getLogger("whisper_api")

# What the process needs besides models: libraries, and the work on one stretch of audio.
_RESERVED_BYTES = 400 * 1024**2

# Memory of a model's weights in terms of its file, which holds them as float16. Less would do for the 8 bit types once
# the model is loaded, but not while it is.
_GROWTH = {"float32": 2.0, "int8_float32": 1.0}

# Memory of a window in a batch, the decoder's keys and values for each of its beams, in terms of a model's file.
_WINDOW_SHARE = 0.25
# More windows in the batch of a worker are hardly faster, and where there are several workers already two are not.
_LARGEST_BATCH = 4


# Text at a raised temperature is drawn at random. Each worker of a loaded model takes the seed once: after a start the
# same requests in the same order get the same answers where there is one worker; with several it depends on which of
# them was free. More than that CTranslate2 does not offer.
SEED = 0


@dataclass
class _Loaded:
    model: ShortWindowModel
    bytes: int
    used: float = field(default_factory=time.monotonic)
    users: int = 0


class LoadedModels:
    """Models by id; each is dropped when nobody used it for `settings.ttl` seconds or another needs its memory."""

    def __init__(
        self, settings: Settings, folder: Callable[[str], Path], memory_bytes: Callable[[], int] = cgroup.memory_bytes
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._models: dict[str, _Loaded] = {}
        self._lock = threading.Lock()

    def names(self) -> Collection[str]:
        return tuple(self._models)

    @contextmanager
    def use(self, name: str) -> Iterator[ShortWindowModel]:
        """The model, loaded if it is not, and kept in memory until the context is left.

        Raises ModelUnavailable, ModelTooLarge; a second caller waits for the first.
        """
        with self._lock:
            if name not in self._models:
                self._models[name] = self._load(name)
                self._look_again(name, self._settings.ttl)
            loaded = self._models[name]
            loaded.users += 1
        try:
            yield loaded.model
        finally:
            loaded.model.forget()
            freed_memory.give_back()
            with self._lock:
                loaded.users -= 1
                loaded.used = time.monotonic()

    def batch_size(self, name: str) -> int:
        """How many windows a loaded model may decode at once: what is set, or what there is memory for.

        One with CTranslate2's encoder of 8 bits: in windows of a batch more was misheard with it than in whole ones.
        """
        if self._settings.batch_size:
            return self._settings.batch_size
        if self._models[name].model.encoder is None:
            return 1
        room = self._memory_bytes() - _RESERVED_BYTES - sum(loaded.bytes for loaded in self._models.values())
        workers = self._models[name].model.workers
        largest = _LARGEST_BATCH if workers == 1 else workers
        return max(1, min(largest, int(room / (_WINDOW_SHARE * self._models[name].bytes))))

    def unload(self, name: str) -> bool:
        """Whether the model was in memory, which it is not any more. Raises ModelInUse."""
        with self._lock:
            if name not in self._models:
                return False
            if self._models[name].users:
                raise ModelInUse(f"The model {name} is at work. Try again when it is done.")
            self._drop(name)
            return True

    def unload_unused(self) -> None:
        with self._lock:
            for name in [name for name, loaded in self._models.items() if not loaded.users]:
                self._drop(name)

    def _load(self, name: str) -> _Loaded:
        folder = self._folder(name)
        needed = int((folder / "model.bin").stat().st_size * _GROWTH.get(self._settings.compute_type, 1.0))
        if self._settings.inference_device == "cpu":
            self._make_room(name, needed)
        start = time.monotonic()
        ctranslate2.set_random_seed(SEED)
        cores = self._settings.cpu_threads or cgroup.cpu_threads()

        def model_with(threads: int) -> ShortWindowModel:
            return self._model_with(folder, threads, cores)

        try:
            if cores == 1 or self._settings.inference_device != "cpu":
                model = model_with(cores)
            else:
                what = f"{name} in {self._settings.compute_type}, encoder {self._settings.encoder}"
                model = window_threads.fastest(self._settings.data_folder, what, cores, model_with)
        except (RuntimeError, ValueError) as error:
            # What CTranslate2 says names paths and devices of this machine: it is for the log.
            _logger.exception("%s cannot be loaded", name)
            raise ModelUnavailable(
                f"The model {name} cannot be loaded; the server's log says why. Its files may have to be fetched again."
            ) from error
        model.shortens = self._settings.short_windows
        _logger.info("loaded %s in %.1f s", name, time.monotonic() - start)
        return _Loaded(model, needed)

    def _model_with(self, folder: Path, threads: int, cores: int) -> ShortWindowModel:
        """The model with so many threads for a window, and as many windows at once as there are processors for."""
        workers = max(1, cores // threads)
        # Two processors: while one reads the model the other compiles its encoder.
        with ThreadPoolExecutor(max_workers=1) as executor:
            encoder = executor.submit(self._encoder, folder, threads)
            model = ShortWindowModel(
                str(folder),
                device=self._settings.inference_device,
                compute_type=self._settings.compute_type,
                cpu_threads=threads,
                num_workers=workers,
            )
        model.encoder = encoder.result()
        model.workers = workers
        return model

    def _encoder(self, folder: Path, threads: int) -> Encode | None:
        """Another runtime's encoder where it is faster than CTranslate2's, which is always there."""
        if self._settings.encoder == "ctranslate2" or self._settings.inference_device != "cpu":
            return None
        if importlib.util.find_spec("openvino") is None:
            return None
        from whisper_faster import openvino_encoder

        try:
            return openvino_encoder.load(folder, threads)
        except ValueError as error:
            _logger.warning("the encoder of %s runs on CTranslate2: %s", folder, error)
            return None

    def _make_room(self, name: str, needed: int) -> None:
        """Drops models that nobody uses, least recently used first, until another fits."""
        room = self._memory_bytes() - _RESERVED_BYTES
        if needed > room:
            raise ModelTooLarge(
                f"The model {name} needs {needed / 1e6:.0f} MB of memory, this server has {max(room, 0) / 1e6:.0f} MB "
                "for models. Use a smaller model."
            )
        idle = sorted((loaded.used, other) for other, loaded in self._models.items() if not loaded.users)
        for _, other in idle:
            if sum(loaded.bytes for loaded in self._models.values()) + needed <= room:
                return
            self._drop(other)
            _logger.info("unloaded %s to make room for %s", other, name)
        if sum(loaded.bytes for loaded in self._models.values()) + needed > room:
            raise ModelUnavailable(f"There is no memory for the model {name} while another one is at work.")

    def _drop(self, name: str) -> None:
        del self._models[name]
        gc.collect()
        freed_memory.give_back()

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
            left = loaded.used + self._settings.ttl - time.monotonic()
            if loaded.users:
                left = float(self._settings.ttl)
            if left > 0:
                self._look_again(name, left)
                return
            del loaded
            self._drop(name)
        _logger.info("unloaded %s, unused for %d s", name, self._settings.ttl)
