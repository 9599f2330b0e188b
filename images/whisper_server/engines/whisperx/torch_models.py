"""torch: its device, its threads, and the memory of its models."""

import gc
from typing import Any

from whisper_server.engines import freed_memory
from whisper_server.process.settings import Settings


def parameter_bytes(module: Any) -> int:
    """Bytes of a `torch.nn.Module`'s parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def needed_bytes(settings: Settings, stored: int) -> int:
    """Bytes of the container's memory for a model with files of `stored` bytes: none on a GPU."""
    return stored if device(settings) == "cpu" else 0


def give_memory_back() -> None:
    """Returns memory that torch has freed to the kernel."""
    gc.collect()
    freed_memory.give_back()


def set_threads(count: int) -> None:
    """Sets torch's number of threads in this thread; waking one takes longer than its share of a small tensor.

    In a virtual machine with two processors, diarization of 30 s took 2.4 s with one thread and 10.3 s with two.
    """
    import torch

    torch.set_num_threads(count)


def device(settings: Settings) -> str:
    """torch's name of the configured device."""
    import torch

    if settings.inference_device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return settings.inference_device
