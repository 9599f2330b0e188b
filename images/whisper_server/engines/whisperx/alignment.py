"""Exact word timestamps: WhisperX aligns text and audio with a wav2vec 2.0 model of the language."""

import ast
import importlib.resources
import logging
import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.engines.whisperx.torch_models import device, needed_bytes, parameter_bytes
from whisper_server.speech.engine import Reached
from whisper_server.speech.errors import SpeechError
from whisper_server.speech.recording import SAMPLE_RATE, Recording
from whisper_server.speech.transcript import Segment, Word

_logger = logging.getLogger("whisper_server")

# Audio on either side of a segment, in seconds: the error of the decoder's timestamps.
_MARGIN_SECONDS = 0.2

# The longest audio that is aligned at once, in seconds.
_LONGEST_SECONDS = 10

# Segments that may wait for alignment: work for the time in which the next window is decoded.
_AHEAD = 32

# How often progress is reported.
_ASK_SECONDS = 0.5

# Seconds for which a model that could not be loaded is not tried again.
_REMEMBERED_SECONDS = 600

# A wav2vec 2.0 model of 95 million parameters in float32, as most are, for those whose file is not known yet.
_USUAL_BYTES = 380_000_000
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class AlignModel:
    """A wav2vec 2.0 model for one language, with WhisperX's metadata."""

    model: Any
    metadata: dict[str, Any]
    device: str


class Alignment:
    """The configured alignment models, by language."""

    def __init__(self, settings: WhisperXSettings, residency: Residency) -> None:
        self._settings = settings
        self._residency = residency
        self._missing_until: dict[str, float] = {}

    @contextmanager
    def model(self, language: str) -> Iterator[AlignModel | None]:
        """The model of a language, downloaded and loaded if necessary; None if that is not possible."""
        name = self._settings.align_models.get(language)
        if name == "":
            name = _whisperx_models().get(language)
        if name is None or self._missing_until.get(name, 0) > time.monotonic():
            yield None
            return
        # Only errors of loading are handled here, not those of using the model.
        with ExitStack() as using:
            loaded = self._loaded(using, language, name)
            # Languages may share a model, and differ in where words end.
            yield loaded and replace(loaded, metadata={**loaded.metadata, "language": language})

    def _loaded(self, using: ExitStack, language: str, name: str) -> AlignModel | None:
        try:
            _require_available(name)
            return using.enter_context(
                self._residency.use(
                    name,
                    lambda: self._load(language, name),
                    lambda: needed_bytes(self._settings, _stored_bytes(name)),
                    lambda loaded: needed_bytes(self._settings, parameter_bytes(loaded.model)),
                )
            )
        except SpeechError as error:  # no memory now; a later request may find some
            _logger.warning("no alignment for %s: %s", language, error)
        except Exception as error:  # any error of the Hub, of files or of torch: attention timestamps are used instead
            # WhisperX reports any error as a model that does not exist.
            reason = error.__context__ or error
            _logger.warning("no alignment for %s, %s cannot be loaded: %s", language, name, reason)
            self._missing_until[name] = time.monotonic() + _REMEMBERED_SECONDS
        return None

    def _load(self, language: str, name: str) -> AlignModel:
        from whisperx.alignment import load_align_model

        where = device(self._settings)
        model, metadata = load_align_model(language, where, model_name=name)
        return AlignModel(model, metadata, where)


def aligned(
    segments: Iterable[Segment], recording: Recording, model: AlignModel, at_once: int, reached: Reached
) -> Generator[Segment, None, None]:
    """The segments with exact times; those that WhisperX cannot align, or not without losing text, keep their own.

    `at_once` segments are aligned in parallel: with one thread each, two of them took four fifths of the time of one
    with two threads (six minutes of audio). `reached` receives the stage "alignment" after the last segment was
    decoded.
    """
    in_progress: deque[Future[Segment]] = deque()
    with ThreadPoolExecutor(at_once) as executor:
        try:
            for segment in segments:
                start = max(0.0, segment.start - _MARGIN_SECONDS)
                # In this thread, because a recording has a single read position.
                samples = recording.samples(start, segment.end + _MARGIN_SECONDS)
                in_progress.append(executor.submit(_aligned, segment, start, samples, model))
                while in_progress and (in_progress[0].done() or len(in_progress) > _AHEAD):
                    yield in_progress.popleft().result()
            left = len(in_progress)
            while in_progress:
                reached("alignment", 1 - len(in_progress) / left)
                wait([in_progress[0]], _ASK_SECONDS)
                while in_progress and in_progress[0].done():
                    yield in_progress.popleft().result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _aligned(segment: Segment, origin: float, samples: NDArray[np.float32], model: AlignModel) -> Segment:
    """Aligns a segment, whose samples start `origin` seconds into the recording."""
    cut = parts(segment)
    found = [_words(part, origin, samples, model) for part in cut]
    if not any(found):
        return segment
    words = [word for part, exact in zip(cut, found, strict=True) for word in exact or part.words]
    return replace(segment, start=words[0].start, end=words[-1].end, words=words)


def parts(segment: Segment) -> list[Segment]:
    """The segment in parts of at most 10 s, cut at pauses between words: the model's memory grows by some 25 MB per
    second of audio."""
    words = segment.words
    if segment.end - segment.start <= _LONGEST_SECONDS or segment.text != "".join(word.word for word in words):
        return [segment]
    third = (segment.end - segment.start) / 3
    middle = range(1, len(words))
    cuts = [n for n in middle if segment.start + third <= words[n].start <= segment.end - third] or middle
    if not cuts:
        return [segment]
    cut = max(cuts, key=lambda n: words[n].start - words[n - 1].end)
    return [
        piece
        for said in (words[:cut], words[cut:])
        for piece in parts(
            replace(segment, start=said[0].start, end=said[-1].end, words=said, text="".join(w.word for w in said))
        )
    ]


def _words(part: Segment, origin: float, samples: NDArray[np.float32], model: AlignModel) -> list[Word]:
    """The words with exact times, empty if they cannot be aligned; `samples` start at `origin`, in seconds."""
    from whisperx.alignment import align

    start = max(origin, part.start - _MARGIN_SECONDS)
    end = part.end + _MARGIN_SECONDS
    sound = samples[round((start - origin) * SAMPLE_RATE) : round((end - origin) * SAMPLE_RATE)]
    transcript = [{"start": 0.0, "end": len(sound) / SAMPLE_RATE, "text": part.text}]
    try:
        found = align(transcript, model.model, model.metadata, sound, model.device)
    except (RuntimeError, ValueError, IndexError) as error:  # for example, audio below the model's minimum
        _logger.warning("%.1f s cannot be aligned: %s", part.end - part.start, error)
        return []
    return _timed([word for piece in found["segments"] for word in piece["words"]], part.text, start)


def _timed(words: Sequence[dict[str, Any]], text: str, start: float) -> list[Word]:
    """WhisperX's words in the recording's time, spaced as in the text; empty if a time or text is missing."""
    timed: list[Word] = []
    for word in words:
        before = text[: len(text) - len(text.lstrip())]
        if not text.lstrip().startswith(word["word"]) or "start" not in word or "end" not in word:
            return []
        timed.append(
            Word(
                start=round(start + float(word["start"]), 3),
                end=round(start + float(word["end"]), 3),
                word=before + word["word"],
                probability=float(word.get("score", 0.0)),
            )
        )
        text = text.lstrip().removeprefix(word["word"])
    return timed if not text.strip() else []


def _stored_bytes(name: str) -> int:
    """Bytes of a model's weights, estimated from the size of its file."""
    if name.startswith("/"):
        files = [Path(name) / file for file in _WEIGHTS]
    elif "/" in name:
        import huggingface_hub

        cached = [huggingface_hub.try_to_load_from_cache(name, file) for file in _WEIGHTS]
        files = [Path(path) for path in cached if isinstance(path, str)]
    else:
        files = []
    return next((file.stat().st_size for file in files if file.is_file()), _USUAL_BYTES)


def _require_available(name: str) -> None:
    """Raises FileNotFoundError for a model that cannot be downloaded, as far as that is known without torch."""
    if name.startswith("/"):
        if not Path(name).is_dir():
            raise FileNotFoundError("there is no such folder")
        return
    import huggingface_hub

    if not huggingface_hub.is_offline_mode():
        return
    cached = huggingface_hub.try_to_load_from_cache(name, "config.json") if "/" in name else None
    if not isinstance(cached, str) and ("/" in name or not any(_torch_checkpoints().glob("*.pt*"))):
        raise FileNotFoundError("it is not in the cache, and HF_HUB_OFFLINE is set")


def _torch_checkpoints() -> Path:
    """The folder of torchaudio's downloads, which is torch.hub's."""
    return Path(os.environ.get("TORCH_HOME", "~/.cache/torch")).expanduser() / "hub" / "checkpoints"


@cache
def _whisperx_models() -> dict[str, str]:
    """WhisperX's default model of each language. Read from its source, because importing it would import torch."""
    source = importlib.resources.files("whisperx").joinpath("alignment.py").read_text(encoding="utf-8")
    models: dict[str, str] = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign([ast.Name("DEFAULT_ALIGN_MODELS_HF" | "DEFAULT_ALIGN_MODELS_TORCH")], table):
                models |= ast.literal_eval(table)
    return models
