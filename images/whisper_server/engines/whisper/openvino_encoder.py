"""Whisper's encoder on OpenVINO, which computes in bfloat16 on CPUs that support it; CTranslate2 does not.

The weights are read from the file of the CTranslate2 model. Building the network from them takes less time than reading
a converted one, so no converted file is stored that could become outdated.

Sources: src/models/model.cc of CTranslate2 for the format of `model.bin`, its python/ctranslate2/specs/whisper_spec.py
for the names; section 2.2 of Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), for
the network.
"""

import mmap
import struct
import threading
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Node
from openvino import opset13 as op

from whisper_server.engines.whisper.short_windows import Encode, Features

_BINARY_VERSION = 6
_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_EPSILON = 1e-5  # of layer normalization, as in PyTorch, where the models were trained

Arrays = dict[str, NDArray[Any]]


def load(model: Path, threads: int) -> Encode | None:
    """The encoder of the CTranslate2 model in a folder; None on a CPU without bfloat16, where it would not be faster.

    Raises ValueError for weights in an unsupported format.
    """
    core = openvino.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    properties = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Pinned threads would compete with those of other containers for the same CPUs.
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(_network(encoder_arrays(model)), "CPU", properties).create_infer_request()
    # A caller may have stopped waiting for a window; until that is encoded, OpenVINO refuses another one.
    lock = threading.Lock()

    def encode(features: Features) -> ctranslate2.StorageView:
        with lock:
            return ctranslate2.StorageView.from_array(request.infer({0: features}, share_inputs=True)[0])

    return encode


def encoder_arrays(model: Path) -> Arrays:
    """The encoder's arrays by their names in CTranslate2's specification, without the prefix `encoder/`.

    Raises ValueError for another version of the file format, and for weights that are not floating point.
    """
    arrays: Arrays = {}
    with (model / "model.bin").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = 0

        def numbers(layout: str) -> tuple[int, ...]:
            nonlocal position
            start, position = position, position + struct.calcsize("<" + layout)
            return struct.unpack_from("<" + layout, content, start)

        def text() -> str:
            nonlocal position
            (length,) = numbers("H")
            start, position = position, position + length
            return content[start : position - 1].decode()

        (version,) = numbers("I")
        if version != _BINARY_VERSION:
            raise ValueError(f"model.bin is of version {version}, known is {_BINARY_VERSION}")
        text()  # the specification's name
        _, count = numbers("II")  # its revision, and the number of arrays
        for _ in range(count):
            name = text()
            (rank,) = numbers("B")
            shape = numbers(f"{rank}I")
            type_number, size = numbers("BI")
            if name.startswith("encoder/"):
                dtype = np.dtype(_TYPES[type_number] if type_number < len(_TYPES) else np.void)
                if name.endswith("weight") and dtype.kind != "f":
                    raise ValueError(f"{name} is not of float16 or float32")
                array = np.frombuffer(content, dtype, size // dtype.itemsize, position)
                arrays[name.removeprefix("encoder/")] = array.reshape(shape).copy()
                del array  # the mapped file cannot be closed while an array refers to it
            position += size
    return arrays


def _network(arrays: Arrays) -> openvino.Model:
    def constant(name: str) -> Node:
        array = arrays[name]
        stored = op.constant(array, shared_memory=True)
        return stored if array.dtype == np.float32 else op.convert(stored, "f32")

    def linear(x: Node, name: str) -> Node:
        return op.add(op.matmul(x, constant(f"{name}/weight"), False, True), constant(f"{name}/bias"))

    def normalized(x: Node, name: str) -> Node:
        x = op.mvn(x, op.constant([-1]), normalize_variance=True, eps=_EPSILON, eps_mode="inside_sqrt")
        return op.add(op.multiply(x, constant(f"{name}/gamma")), constant(f"{name}/beta"))

    def convolved(x: Node, name: str, stride: int) -> Node:
        x = op.convolution(x, constant(f"{name}/weight"), [stride], [1], [1], [1])
        return op.gelu(op.add(x, op.unsqueeze(constant(f"{name}/bias"), op.constant([0, 2]))), "erf")

    def attended(x: Node, name: str) -> Node:
        x = op.reshape(linear(x, f"{name}/linear_0"), op.constant([0, 0, 3, heads, dimensions // heads]), True)
        parts = op.split(op.transpose(x, op.constant([2, 0, 3, 1, 4])), op.constant(0), 3).outputs()
        queries, keys, values = (op.squeeze(part, op.constant([0])) for part in parts)
        x = op.scaled_dot_product_attention(queries, keys, values)
        x = op.reshape(op.transpose(x, op.constant([0, 2, 1, 3])), op.constant([0, 0, dimensions]), True)
        return linear(x, f"{name}/linear_1")

    dimensions, mels, _ = arrays["conv1/weight"].shape
    heads = int(arrays["num_heads"])
    layers = sum(name.endswith("ffn/linear_0/weight") for name in arrays)

    features = op.parameter([-1, mels, -1], np.float32)
    x = op.transpose(convolved(convolved(features, "conv1", 1), "conv2", 2), op.constant([0, 2, 1]))
    frames = op.gather(op.shape_of(x), op.constant([1]), op.constant(0))
    positions = constant("position_encodings/encodings")
    x = op.add(x, op.slice(positions, op.constant([0]), frames, op.constant([1]), op.constant([0])))
    for number in range(layers):
        layer = f"layer_{number}"
        x = op.add(x, attended(normalized(x, f"{layer}/self_attention/layer_norm"), f"{layer}/self_attention"))
        inner = op.gelu(linear(normalized(x, f"{layer}/ffn/layer_norm"), f"{layer}/ffn/linear_0"), "erf")
        x = op.add(x, linear(inner, f"{layer}/ffn/linear_1"))
    return openvino.Model([normalized(x, "layer_norm")], [features], "encoder")
