from pathlib import Path

import numpy as np
from faster_whisper.utils import get_assets_path
from faster_whisper.vad import SileroVADModel

from whisper_server.engines.whisper.openvino_silero import OpenVinoSilero


def test_its_state_goes_from_one_batch_of_steps_to_the_next() -> None:
    """Above 320 s the model runs the network more than once."""
    path = Path(get_assets_path()) / "silero_vad_v6.onnx"
    onnx_runtimes, openvinos = SileroVADModel(path), OpenVinoSilero(path)
    samples = np.random.default_rng(0).standard_normal(10_100 * 512).astype(np.float32) / 10
    assert np.abs(openvinos(samples.copy()) - onnx_runtimes(samples.copy())).max() < 1e-4
