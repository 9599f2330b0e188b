from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper.utils import get_assets_path
from faster_whisper.vad import SileroVADModel

from whisper_server.engines.whisper.openvino_silero import OpenVinoSilero
from whisper_server.speech import decoding


@pytest.fixture(scope="module")
def onnx_runtimes() -> SileroVADModel:
    return SileroVADModel(f"{get_assets_path()}/silero_vad_v6.onnx")


def test_its_probabilities_are_those_of_onnx_runtime(
    speech: list[dict[str, Any]], onnx_runtimes: SileroVADModel
) -> None:
    openvinos = OpenVinoSilero(Path(get_assets_path()) / "silero_vad_v6.onnx")
    for recording in speech:
        with decoding.decode(recording["path"], 1000) as sound:
            samples = sound.samples(0, sound.seconds)
        samples = samples[: len(samples) // 512 * 512]
        # The library writes into what it is given.
        expected = onnx_runtimes(samples.copy())
        found = openvinos(samples.copy())
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4, recording["file"]
