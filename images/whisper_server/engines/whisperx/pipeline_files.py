"""The files of the diarization pipeline: in a folder, or in the Hugging Face cache, which is filled from the Hub.

Each reason for missing files has its own message, because each has another remedy. This module does not need torch.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whisper_server.speech.errors import DiarizationUnavailable

_logger = logging.getLogger("whisper_server")

_CONFIG = "config.yaml"

# How long an error of the Hub is remembered: clients that retry must not wait for the Hub again.
_REMEMBERED_SECONDS = 30


class PipelineFiles:
    """The files of one pipeline: `name` is an id on the Hub, or the path of a folder."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._refusal: tuple[float, DiarizationUnavailable] | None = None

    def folder(self) -> Path:
        """The folder with the pipeline's `config.yaml` and all its files. Raises DiarizationUnavailable."""
        with self._lock:
            if self._refusal is not None and self._refusal[0] > time.monotonic():
                raise self._refusal[1]
            if self._folder is None or not (self._folder / _CONFIG).is_file():
                try:
                    self._folder = self._found()
                except DiarizationUnavailable as refusal:
                    # A folder is checked again at once.
                    seconds = 0 if self._name.startswith("/") else _REMEMBERED_SECONDS
                    self._refusal = (time.monotonic() + seconds, refusal)
                    raise
            return self._folder

    def _found(self) -> Path:
        if self._name.startswith("/"):
            folder = Path(self._name)
            if not folder.is_dir():
                raise DiarizationUnavailable(
                    f"The server's diarization model is to be in the folder {folder.name}, which does not exist. "
                    "Its administrator has to put it there, or to set WHISPER__DIARIZE_MODEL."
                )
            _read_config(folder)
            return folder
        folder = _snapshot(self._name)
        for other in _repositories(_read_config(folder)):
            _snapshot(other)
        return folder


def _read_config(folder: Path) -> Mapping[str, Any]:
    import yaml

    try:
        config = yaml.safe_load((folder / _CONFIG).read_text(encoding="utf-8"))
        config["pipeline"]["name"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as error:
        _logger.error("%s is no configuration of a pipeline: %s", folder / _CONFIG, error)
        raise DiarizationUnavailable(
            "The server's diarization model is broken: its config.yaml is missing or is no pipeline's. "
            "Its administrator has to download it again."
        ) from error
    loaded: Mapping[str, Any] = config
    return loaded


def _repositories(config: Mapping[str, Any]) -> Iterator[str]:
    """Ids of the other repositories whose models a pipeline uses; they have conditions of their own."""
    for model in config["pipeline"].get("params", {}).values():
        if isinstance(model, str) and model.count("/") == 1 and not model.startswith(("$", "/", ".")):
            yield model.partition("@")[0]


def _snapshot(repository: str) -> Path:
    """The folder of a repository's files, downloaded from the Hub if necessary."""
    import huggingface_hub

    with _explained(repository):
        try:
            # After the download the Hub is not contacted again: it may be down, or the token expired.
            return Path(huggingface_hub.snapshot_download(repository, local_files_only=True))
        except huggingface_hub.errors.LocalEntryNotFoundError:
            return Path(huggingface_hub.snapshot_download(repository))


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turns exceptions of the Hub's client into DiarizationUnavailable with a message that says what to do."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        token = huggingface_hub.get_token()
    except OSError as error:
        raise DiarizationUnavailable(
            "The server cannot read the file with its Hugging Face token. Its administrator has to give the file to "
            "the user that the server runs as."
        ) from error
    try:
        yield
    except errors.LocalEntryNotFoundError as error:
        # Its cause is the actual error of the request to the Hub.
        raise _explanation(error.__cause__, repository, token) from error
    except (OSError, errors.OfflineModeIsEnabled) as error:
        raise _explanation(error, repository, token) from error


def _explanation(error: BaseException | None, repository: str, token: str | None) -> DiarizationUnavailable:
    from huggingface_hub.errors import HfHubHTTPError

    conditions = f"https://huggingface.co/{repository}"
    tokens = "https://huggingface.co/settings/tokens"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    _logger.warning("the Hub refuses %s: %s", repository, status or type(error).__name__)
    if status in (401, 403, 404) and token is None:
        return DiarizationUnavailable(
            f"Speaker diarization needs a Hugging Face token, and the server has none. Accept the conditions at "
            f"{conditions}, create a read token at {tokens}, and give it to the server."
        )
    if status == 403:
        return DiarizationUnavailable(
            f"The account of the server's Hugging Face token has not accepted the conditions of {repository}. "
            f"Accept them at {conditions}."
        )
    if status == 401:
        return DiarizationUnavailable(
            f"Hugging Face does not accept the server's token. Create a new read token at {tokens}, and give it to the "
            "server."
        )
    if status == 404:
        return DiarizationUnavailable(
            f"There is no {repository} on the Hugging Face Hub, or the server's token may not access it. The server's "
            "administrator has to set WHISPER__DIARIZE_MODEL."
        )
    return DiarizationUnavailable(
        f"The diarization model {repository} is not on this server, and the Hugging Face Hub cannot be reached to "
        "download it. Try again later.",
        retry_after=60,
    )
