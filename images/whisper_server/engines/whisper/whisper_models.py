"""Loads Whisper models: CTranslate2's, with the encoder of another runtime if that is faster."""

import importlib.util
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import ctranslate2

from whisper_server.engines import freed_memory
from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper import window_threads
from whisper_server.engines.whisper.short_windows import Encode, ShortWindowModel
from whisper_server.process import cgroup
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import ModelUnavailable

_logger = logging.getLogger("whisper_server")

# Memory of a model while it is loaded, relative to its file, which holds float16.
_GROWTH = {"float32": 2.0}
# The same for a loaded model with 8-bit weights, including what is not quantized (CTranslate2's documentation on
# quantization). Another runtime's encoder keeps float16.
_QUANTIZED = 0.6

# Memory of a window in a batch, the decoder's keys and values for each of its beams, relative to the model's file.
_WINDOW_SHARE = 0.25
# Larger batches of a single worker are hardly faster; with several workers, batches of two are already no faster.
_LARGEST_BATCH = 4


# At a raised temperature tokens are sampled. Each worker of a loaded model reads the seed once: after a start the same
# requests in the same order get the same responses with one worker; with several it depends on which of them was free.
# CTranslate2 does not offer more.
SEED = 0


class WhisperModels:
    """Whisper models by id, in memory as long as `residency` keeps them."""

    def __init__(self, settings: Settings, folder: Callable[[str], Path], residency: Residency) -> None:
        self._settings = settings
        self._folder = folder
        self._residency = residency

    @contextmanager
    def use(self, name: str) -> Iterator[ShortWindowModel]:
        """The model, loaded if necessary, and kept in memory until the context is left.

        Raises ModelUnavailable, ModelTooLarge; a second caller waits for the first.
        """
        with self._residency.use(
            name, lambda: self._load(name), lambda: self._needed(name), lambda model: self._kept(name, model)
        ) as model:
            try:
                yield model
            finally:
                model.forget()
                freed_memory.give_back()

    def batch_size(self, name: str, model: ShortWindowModel) -> int:
        """Number of windows that a loaded model may decode at once: the configured one, or as many as memory allows.

        1 with CTranslate2's 8-bit encoder, which is less accurate on the windows of a batch than on full ones.
        """
        if self._settings.batch_size:
            return self._settings.batch_size
        if model.encoder is None:
            return 1
        largest = _LARGEST_BATCH if model.workers == 1 else model.workers
        window = _WINDOW_SHARE * self._residency.bytes_of(name)
        return max(1, min(largest, int(self._residency.free_bytes() / window)))

    def _needed(self, name: str) -> int:
        """Bytes of the container's memory that loading a model takes."""
        if self._settings.inference_device != "cpu":
            return 0
        file = self._folder(name) / "model.bin"
        return int(file.stat().st_size * _GROWTH.get(self._settings.compute_type, 1.0))

    def _kept(self, name: str, model: ShortWindowModel) -> int:
        """Bytes that the loaded model takes."""
        is_quantized = self._settings.compute_type.startswith("int8") and model.encoder is None
        return int(self._needed(name) * (_QUANTIZED if is_quantized else 1.0))

    def _load(self, name: str) -> ShortWindowModel:
        folder = self._folder(name)
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
            # CTranslate2's message contains paths and devices of this machine: it is only logged.
            _logger.exception("%s cannot be loaded", name)
            raise ModelUnavailable(
                f"The model {name} cannot be loaded; the server's log says why. Its files may have to be downloaded "
                "again."
            ) from error
        model.trim_windows = self._settings.short_windows
        return model

    def _model_with(self, folder: Path, threads: int, cores: int) -> ShortWindowModel:
        """The model with `threads` threads per window, and as many workers as `cores` allow."""
        workers = max(1, cores // threads)
        # In parallel: one thread reads the model while the other compiles its encoder.
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
        """Another runtime's encoder if it is faster; None to use CTranslate2's."""
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
