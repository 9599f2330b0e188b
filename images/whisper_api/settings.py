"""Everything that can be set from the environment, in one place.

`UVICORN_HOST`, `UVICORN_PORT` and the other `UVICORN_…` names belong to uvicorn, which reads them itself, and `HF_…` to
huggingface_hub.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ByteSize, Field, NonNegativeInt
from pydantic_settings import BaseSettings, SettingsConfigDict


def _binary_unit(value: object) -> object:
    """`500M` is 500 MiB, as it is in nginx's `client_max_body_size`; to pydantic it would be 500 million."""
    return f"{value}iB" if isinstance(value, str) and value[-1:] in tuple("kKmMgG") else value


class Settings(BaseSettings):
    """Settings of a server, each read from `WHISPER__` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="WHISPER__", use_attribute_docstrings=True)

    model: str = "Systran/faster-whisper-small"
    """Model that is loaded at the start, and that `whisper-1` means."""
    inference_device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where models run."""
    compute_type: str = "int8"
    """How their weights are stored and multiplied, see CTranslate2's documentation on quantization."""
    cpu_threads: NonNegativeInt = 0
    """Threads of one inference; 0 follows the container's CPU limit."""
    ttl: Annotated[int, Field(ge=-1)] = 300
    """Seconds that an unused model stays in memory; -1 is for ever."""
    queue_length: NonNegativeInt = 8
    """Requests that may wait for the one that runs; above it the answer is 429."""
    upload_limit: Annotated[ByteSize, BeforeValidator(_binary_unit)] = ByteSize(500 * 1024**2)
    """Largest request body, in bytes or with a unit (`500M`); above it the answer is 413."""
    data_folder: Path = Path("/data")
    """Volume that holds uploads while they are worked on."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""
