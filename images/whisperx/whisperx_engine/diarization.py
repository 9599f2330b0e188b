"""Who speaks when: WhisperX's diarization pipeline, which is pyannote.audio's."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from whisper_api.audio import Recording
from whisper_api.engine import DiarizationUnavailable, Reached, Speakers
from whisperx_engine.pipeline_files import PipelineFiles
from whisperx_engine.settings import WhisperXSettings
from whisperx_engine.torch_models import TorchModels, device, give_memory_back

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger("whisper_api")

# Windows of sound that a model reads at once. On a CPU more are no faster, and the 32 of pyannote's own pipelines
# take hundreds of megabytes.
_BATCH_ON_CPU = 8

# torch, pandas and whisperx are imported where they are used: four fifths of the start, and most of the memory.


class Diarization:
    """The diarization pipeline that the operator chose."""

    def __init__(self, settings: WhisperXSettings) -> None:
        self._settings = settings
        self._files = PipelineFiles(settings.diarize_model)
        self._models = TorchModels(settings.ttl)

    def check(self) -> None:
        """Raises DiarizationUnavailable unless the pipeline's files are here, or could be fetched, which this does."""
        self._files.folder()

    def loaded(self) -> Collection[str]:
        return self._models.names()

    def unload_unused(self) -> None:
        self._models.unload_unused()

    @contextmanager
    def pipeline(self) -> Iterator[Any]:
        """A `whisperx.diarize.DiarizationPipeline`. Raises DiarizationUnavailable."""
        folder = self._files.folder()

        def load() -> Any:
            from whisperx.diarize import DiarizationPipeline

            where = device(self._settings)
            try:
                pipeline = DiarizationPipeline(model_name=str(folder), device=where)
            except Exception as error:  # whatever a broken file makes torch, pickle and pyannote raise
                _logger.exception("the diarization model %s cannot be loaded", self._settings.diarize_model)
                raise DiarizationUnavailable(
                    "The server's diarization model cannot be loaded; the server's log says why. Its files may have "
                    "to be fetched again."
                ) from error
            if where == "cpu":
                pipeline.model.segmentation_batch_size = _BATCH_ON_CPU
                pipeline.model.embedding_batch_size = _BATCH_ON_CPU
            return pipeline

        with self._models.use(self._settings.diarize_model, load) as pipeline:
            yield pipeline


def speaker_turns(pipeline: Any, recording: Recording, speakers: Speakers, reached: Reached) -> "pd.DataFrame":
    """The turns of a recording: a row each with `start` and `end` in seconds and `speaker`; they may overlap.

    `reached` is told the stage "speakers" after every few windows.
    """
    try:
        return pipeline(
            recording.samples(0, recording.seconds),
            num_speakers=speakers.number,
            min_speakers=speakers.fewest,
            max_speakers=speakers.most,
            progress_callback=lambda percent: reached("speakers", percent / 100),
        )
    finally:
        give_memory_back()
