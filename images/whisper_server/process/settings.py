"""All settings, from environment variables.

`UVICORN_HOST`, `UVICORN_PORT` and the other `UVICORN_…` names belong to uvicorn, which reads them itself, and `HF_…` to
huggingface_hub.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ByteSize, Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _binary_unit(value: object) -> object:
    """Lets `500M` be 500 MiB, as in nginx's `client_max_body_size`; to pydantic it would be 500 million."""
    return f"{value}iB" if isinstance(value, str) and value[-1:] in tuple("kKmMgG") else value


def listed(value: object) -> object:
    """Splits a comma-separated text; leaves anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """Settings of a server, each read from `WHISPER__` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="WHISPER__", use_attribute_docstrings=True)

    model: str = "Systran/faster-whisper-small"
    """Default model: loaded at startup, and used for `whisper-1`."""
    inference_device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Device that models run on."""
    compute_type: str = "int8"
    """Compute type of the models, see CTranslate2's documentation on quantization."""
    cpu_threads: NonNegativeInt = 0
    """CPU threads for inference; 0 uses the container's CPU limit. Whether a window gets all threads or one is
    measured at the first start. Diarization processes as many windows in parallel, 4 at most."""
    encoder: Literal["auto", "ctranslate2"] = "auto"
    """Runtime of a model's encoder. `auto`: OpenVINO if it is installed and the CPU has bfloat16, otherwise
    CTranslate2, which always runs the decoder."""
    short_windows: bool = True
    """Encode only the detected speech plus 3 s of padding instead of Whisper's full 30 s windows; implausible text is
    decoded again with the full window."""
    batch_size: Annotated[int, Field(ge=0, le=16)] = 0
    """Number of windows decoded in parallel (recordings over 30 s), unless the request sets it. 1: sequential, each
    window conditioned on the previous text. 0 (auto): with OpenVINO, one per CPU, or up to 4 if each window uses all
    threads and memory allows; otherwise 1."""
    ttl: Annotated[int, Field(ge=-1)] = 300
    """Seconds for which an unused model stays in memory; -1 never unloads it."""
    queue_length: NonNegativeInt = 8
    """Requests that may wait while another one runs; above that, the response is 429."""
    upload_limit: Annotated[ByteSize, BeforeValidator(_binary_unit)] = ByteSize(500 * 1024**2)
    """Largest request body, in bytes or with a unit (`500M`); above that, the response is 413."""
    audio_limit: PositiveFloat = 12 * 3600
    """Longest recording, in seconds; above that, the response is 413."""
    allowed_models: Annotated[list[str], NoDecode, BeforeValidator(listed)] = []
    """Additional models that clients may trigger a download of: ids or aliases, separated by commas; `*` is a wildcard
    (`small,Systran/*`). A path refers to a folder with a CTranslate2 model; its folder name is the model id."""
    data_folder: Path = Path("/data")
    """Volume for uploads that are being processed, and for jobs."""
    job_limit: NonNegativeInt = 100
    """Jobs that may be queued or running; above that, the response is 429. One client may have as many as remain free
    for others."""
    job_ttl: PositiveInt = 24 * 3600
    """Seconds for which a finished job and its result are kept."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum log level."""
