"""Silero's network on OpenVINO: the probabilities of ONNX Runtime in half the time, and one runtime fewer."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino
from faster_whisper.vad import SileroVADModel
from numpy.typing import NDArray

_PROPERTIES = {
    # In bfloat16, OpenVINO's default, the probabilities differ.
    "INFERENCE_PRECISION_HINT": "f32",
    # The steps of a recurrent network are too small for several threads.
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,
}

# Steps of 32 ms per call: with the library's 10,000 five minutes took 130 MB.
_AT_ONCE = 500


class _Session:
    """The part of `onnxruntime.InferenceSession` that `SileroVADModel` uses."""

    def __init__(self, path: Path) -> None:
        self._network = openvino.Core().compile_model(path, "CPU", _PROPERTIES)

    def run(self, _: None, inputs: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The network's outputs, in order: probabilities, and the two final states."""
        # Threads must not share an inference request.
        request = self._network.create_infer_request()
        sound, state, cell = inputs["input"], inputs["h"], inputs["c"]
        found = []
        for first in range(0, len(sound), _AT_ONCE):
            part = {"input": sound[first : first + _AT_ONCE], "h": state, "c": cell}
            probabilities, state, cell = request.infer(part).to_tuple()
            found.append(probabilities)
        return [np.concatenate(found), state, cell]


class OpenVinoSilero(SileroVADModel):
    """faster-whisper's model with its network on OpenVINO."""

    def __init__(self, path: Path) -> None:
        self.session = _Session(path)
