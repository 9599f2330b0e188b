"""Speaker diarization with pyannote.audio's pipeline, as in WhisperX."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whisper_server.engines.interruptible import Interruptible
from whisper_server.engines.residency import Residency
from whisper_server.engines.whisperx.local_speakers import local_speakers
from whisper_server.engines.whisperx.pipeline_files import PipelineFiles
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.engines.whisperx.speaker_clusters import people
from whisper_server.engines.whisperx.torch_models import device, give_memory_back, needed_bytes
from whisper_server.engines.whisperx.turns import Turn, turns
from whisper_server.speech.engine import Reached
from whisper_server.speech.errors import DiarizationUnavailable
from whisper_server.speech.options import Speakers
from whisper_server.speech.recording import Recording

_logger = logging.getLogger("whisper_server")

# Windows per batch. On a CPU more are no faster, and the 32 of pyannote's pipelines take hundreds of megabytes.
_BATCH_ON_CPU = 2

# The pipelines of pyannote hold 30 to 40 MB of weights, some of them in repositories of their own.
_FEWEST_BYTES = 40_000_000

# Everything except clustering, which takes a second or two.
_SHARE_OF_WINDOWS = 0.98


class Diarization:
    """The configured diarization pipeline."""

    def __init__(self, settings: WhisperXSettings, residency: Residency) -> None:
        self._settings = settings
        self._files = PipelineFiles(settings.diarize_model)
        self._residency = residency

    def check(self) -> None:
        """Downloads the pipeline's files if necessary. Raises DiarizationUnavailable if that fails."""
        self._files.folder()

    @contextmanager
    def pipeline(self) -> Iterator[Any]:
        """A `pyannote.audio.pipelines.SpeakerDiarization`. Raises DiarizationUnavailable."""
        folder = self._files.folder()
        with self._residency.use(
            self._settings.diarize_model,
            lambda: self._load(folder),
            lambda: needed_bytes(self._settings, max(_FEWEST_BYTES, _stored_bytes(folder))),
        ) as pipeline:
            yield pipeline

    def _load(self, folder: Path) -> Any:
        import torch
        from pyannote.audio import Pipeline

        where = device(self._settings)
        try:
            pipeline = Pipeline.from_pretrained(str(folder)).to(torch.device(where))
        except Exception as error:  # whatever a broken file makes torch, pickle and pyannote raise
            _logger.exception("the diarization model %s cannot be loaded", self._settings.diarize_model)
            raise DiarizationUnavailable(
                "The server's diarization model cannot be loaded; the server's log says why. Its files may have to be "
                "downloaded again."
            ) from error
        if where == "cpu":
            pipeline.segmentation_batch_size = _BATCH_ON_CPU
            pipeline.embedding_batch_size = _BATCH_ON_CPU
        return pipeline


def _stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def speaker_turns(
    pipeline: Any, recording: Recording, speakers: Speakers, at_once: int, reached: Reached
) -> list[Turn]:
    """The speaker turns of a recording in the order of their starts; those of simultaneous speakers overlap.

    `pipeline` is a `pyannote.audio.pipelines.SpeakerDiarization`. An hour of recording takes 10 to 20 MB of memory.
    `at_once` threads are used. `reached` receives the stage "speakers" at least twice a second.
    """
    share = 0.0

    def progress(done: float) -> None:
        nonlocal share
        share = _SHARE_OF_WINDOWS * done
        reached("speakers", share)

    interruptible = Interruptible()
    try:
        found = local_speakers(pipeline, recording, at_once, progress)
        with interruptible.asking(lambda: reached("speakers", share)):
            who = interruptible.wait_for(lambda: people(pipeline.clustering, found, speakers))
            return interruptible.wait_for(lambda: turns(found, who, pipeline.segmentation.min_duration_off))
    finally:
        give_memory_back()
