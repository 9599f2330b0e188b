"""Number of threads per window: one, or one per CPU, whichever is faster on this machine.

The decoder's work for a token consists of operations of microseconds, and each wakes the other threads. The cost varies
by more than the work itself: on two CPUs of a virtual machine two threads took 2.5 times as long as one. Only a
measurement can tell.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from whisper_server.engines.whisper.short_windows import FRAMES_PER_SECOND, ShortWindowModel

FILE = "window_threads.json"

# One thread per window may be slower by this factor, because windows are processed in parallel then.
_WORTH = 1.25
_SECONDS = 10
_TOKENS = 24
# CPUs are idle by then, as before a request: waking them is a part of the cost.
_PAUSE = 0.1

_logger = logging.getLogger("whisper_server")


def fastest(folder: Path, what: str, cores: int, model_with: Callable[[int], ShortWindowModel]) -> ShortWindowModel:
    """The model with the faster number of threads, measured once for `what` on this machine and saved in the folder.

    Only one model is in memory at a time.
    """
    what = f"{what}; CTranslate2 {ctranslate2.__version__}, {cores} of {_processor()}"
    known = _known(folder)
    if known.get(what) in (1, cores):
        return model_with(known[what])
    one = seconds_of_a_window(model_with(1))
    model = model_with(cores)
    all_of_them = seconds_of_a_window(model)
    threads = 1 if one <= _WORTH * all_of_them else cores
    _logger.info("a window takes %.2f s with 1 thread, %.2f s with %d: it gets %d", one, all_of_them, cores, threads)
    _keep(folder, {**known, what: threads})
    if threads == cores:
        return model
    del model
    return model_with(threads)


def seconds_of_a_window(model: ShortWindowModel) -> float:
    """Seconds for a window of typical length and number of tokens, with a beam size of 5."""
    features = np.zeros((1, model.feature_extractor.mel_filters.shape[0], _SECONDS * FRAMES_PER_SECOND), np.float32)
    silence = ctranslate2.StorageView.from_array(features)
    begin, end = (model.hf_tokenizer.token_to_id(name) for name in ("<|startoftranscript|>", "<|endoftext|>"))

    def window() -> float:
        time.sleep(_PAUSE)
        start = time.perf_counter()
        encoded = model.encoder(features) if model.encoder is not None else model.model.encode(silence)
        model.model.generate(encoded, [[begin]], beam_size=5, max_length=_TOKENS, suppress_tokens=[end])
        return time.perf_counter() - start

    return min(window() for _ in range(3))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a processor")


def _known(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _keep(folder: Path, known: dict[str, Any]) -> None:
    """Saves the measurement; without the folder it is repeated at every start."""
    if not folder.is_dir():
        return
    unfinished = folder / f"{FILE}.new"
    try:
        unfinished.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / FILE)
    except OSError as error:
        _logger.warning("what was measured cannot be kept: %s", error)
