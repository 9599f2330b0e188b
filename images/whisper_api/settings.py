"""Everything that can be set from the environment, in one place.

`UVICORN_HOST`, `UVICORN_PORT` and the other `UVICORN_…` names belong to uvicorn, which reads them itself, and `HF_…` to
huggingface_hub.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ByteSize, Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _binary_unit(value: object) -> object:
    """`500M` is 500 MiB, as it is in nginx's `client_max_body_size`; to pydantic it would be 500 million."""
    return f"{value}iB" if isinstance(value, str) and value[-1:] in tuple("kKmMgG") else value


def listed(value: object) -> object:
    """The parts of a text that commas separate; anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


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
    """Processors that inference may use; 0 follows the container's CPU limit. Whether a window gets a thread for each
    of them, or one, is measured at the first start. torch tells speakers apart with one unless this is set."""
    encoder: Literal["auto", "ctranslate2"] = "auto"
    """What runs a model's encoder: OpenVINO where it is installed and the processor has bfloat16, or always
    CTranslate2, which runs the decoder too."""
    short_windows: bool = True
    """Encode as much as is said and three seconds, where Whisper's window is 30 s; text that is implausible is decoded
    again with the whole window."""
    batch_size: Annotated[int, Field(ge=0, le=16)] = 0
    """Windows of a recording above 30 s that are decoded at once where the request does not say how many. 1 is one
    after the other, each in the light of the text before it; 0 is with OpenVINO one for each processor, or as many as
    memory allows where a window gets all threads, 4 at most, else 1."""
    ttl: Annotated[int, Field(ge=-1)] = 300
    """Seconds that an unused model stays in memory; -1 is for ever."""
    queue_length: NonNegativeInt = 8
    """Requests that may wait for the one that runs; above it the answer is 429."""
    upload_limit: Annotated[ByteSize, BeforeValidator(_binary_unit)] = ByteSize(500 * 1024**2)
    """Largest request body, in bytes or with a unit (`500M`); above it the answer is 413."""
    audio_limit: PositiveFloat = 12 * 3600
    """Longest recording, in seconds; above it the answer is 413."""
    allowed_models: Annotated[list[str], NoDecode, BeforeValidator(listed)] = []
    """Models that clients may have fetched from the hub, besides `WHISPER__MODEL`: ids or aliases, separated by
    commas, with `*` for any text (`small,Systran/*`). A path is a CTranslate2 model's folder, known by its name."""
    data_folder: Path = Path("/data")
    """Volume that holds uploads while they are worked on, and jobs."""
    job_store: Annotated[str, Field(pattern=r"^(|rediss?://.+)$")] = ""
    """Where jobs wait for a worker: empty for SQLite on the data volume, or `redis://HOST:PORT/DB`, which several
    servers can share when they share the data volume too."""
    job_limit: NonNegativeInt = 100
    """Jobs that may wait or run; above it the answer is 429. One client may have as many as remain free for others."""
    job_ttl: PositiveInt = 24 * 3600
    """Seconds that a finished job and its result are kept."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""
