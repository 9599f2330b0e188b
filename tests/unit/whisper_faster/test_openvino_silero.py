from typing import Any

import numpy as np
import pytest
from faster_whisper.utils import get_assets_path
from faster_whisper.vad import SileroVADModel

from whisper_api import audio
from whisper_faster import openvino_silero


@pytest.fixture(scope="module")
def onnx_runtimes() -> SileroVADModel:
    return SileroVADModel(f"{get_assets_path()}/silero_vad_v6.onnx")


@pytest.mark.model
def test_its_probabilities_are_those_of_onnx_runtime(
    speech: list[dict[str, Any]], onnx_runtimes: SileroVADModel
) -> None:
    for recording in speech:
        with audio.decode(recording["path"], 1000) as sound:
            samples = sound.samples(0, sound.seconds)
        samples = samples[: len(samples) // 512 * 512]
        # The library writes into what it is given.
        expected = onnx_runtimes(samples.copy())
        found = openvino_silero.model()(samples.copy())
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4, recording["file"]


def test_its_state_goes_from_one_batch_of_steps_to_the_next(onnx_runtimes: SileroVADModel) -> None:
    """Above 320 s the model runs the network more than once."""
    samples = np.random.default_rng(0).standard_normal(10_100 * 512).astype(np.float32) / 10
    assert np.abs(openvino_silero.model()(samples.copy()) - onnx_runtimes(samples.copy())).max() < 1e-4
