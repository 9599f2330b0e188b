import numpy as np
from faster_whisper.utils import get_assets_path
from faster_whisper.vad import SileroVADModel

from whisper_server.engines.whisper import openvino_silero


def test_its_state_goes_from_one_batch_of_steps_to_the_next() -> None:
    """Above 320 s the model runs the network more than once."""
    onnx_runtimes = SileroVADModel(f"{get_assets_path()}/silero_vad_v6.onnx")
    samples = np.random.default_rng(0).standard_normal(10_100 * 512).astype(np.float32) / 10
    assert np.abs(openvino_silero.model()(samples.copy()) - onnx_runtimes(samples.copy())).max() < 1e-4
