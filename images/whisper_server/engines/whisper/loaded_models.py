"""Loads the models of CTranslate2, as many as there is memory for."""

import importlib.util
import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ctranslate2

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper import window_threads
from whisper_server.engines.whisper.short_windows import Encode, ShortWindowModel
from whisper_server.process import cgroup
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import ModelTooLarge, ModelUnavailable

_logger = logging.getLogger("whisper_server")

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


@dataclass(frozen=True)
class _Loaded:
    model: ShortWindowModel
    bytes: int


class LoadedModels:
    """Models by id; each is dropped when nobody used it for `settings.ttl` seconds or another needs its memory."""

    def __init__(
        self, settings: Settings, folder: Callable[[str], Path], memory_bytes: Callable[[], int] = cgroup.memory_bytes
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._resident = Residency[_Loaded](settings.ttl)

    def names(self) -> Collection[str]:
        return self._resident.names()

    @contextmanager
    def use(self, name: str) -> Iterator[ShortWindowModel]:
        """The model, loaded if it is not, and kept in memory until the context is left.

        Raises ModelUnavailable, ModelTooLarge; a second caller waits for the first.
        """
        with self._resident.use(name, lambda: self._load(name)) as loaded:
            try:
                yield loaded.model
            finally:
                loaded.model.forget()

    def batch_size(self, name: str) -> int:
        """How many windows a loaded model may decode at once: what is set, or what there is memory for.

        One with CTranslate2's encoder of 8 bits: in windows of a batch more was misheard with it than in whole ones.
        """
        if self._settings.batch_size:
            return self._settings.batch_size
        models = self._resident.models()
        model = models[name].model
        if model.encoder is None:
            return 1
        room = self._memory_bytes() - _RESERVED_BYTES - sum(loaded.bytes for loaded in models.values())
        largest = _LARGEST_BATCH if model.workers == 1 else model.workers
        return max(1, min(largest, int(room / (_WINDOW_SHARE * models[name].bytes))))

    def unload(self, name: str) -> bool:
        """Whether the model was in memory, which it is not any more. Raises ModelInUse."""
        return self._resident.unload(name)

    def unload_unused(self) -> None:
        self._resident.unload_unused()

    def _load(self, name: str) -> _Loaded:
        folder = self._folder(name)
        needed = int((folder / "model.bin").stat().st_size * _GROWTH.get(self._settings.compute_type, 1.0))
        if self._settings.inference_device == "cpu":
            self._make_room(name, needed)
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
        from whisper_server.engines.whisper import openvino_encoder

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
        for other in self._resident.unused():
            if self._taken() + needed <= room:
                return
            self._resident.unload(other)
            _logger.info("unloaded %s to make room for %s", other, name)
        if self._taken() + needed > room:
            raise ModelUnavailable(f"There is no memory for the model {name} while another one is at work.")

    def _taken(self) -> int:
        """Bytes of the models in memory."""
        return sum(loaded.bytes for loaded in self._resident.models().values())
