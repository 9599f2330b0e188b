"""Finds Whisper models in the Hugging Face cache, and downloads missing ones from the Hub."""

import errno
import logging
import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants

from whisper_server.process.settings import Settings
from whisper_server.speech.engine import Download, Model
from whisper_server.speech.errors import ModelNotFound, ModelProtected, ModelUnavailable, NoSpace, SpeechError

_logger = logging.getLogger("whisper_server")

DEFAULT_ALIAS = "whisper-1"

# Names that users of OpenAI's API or faster-whisper know, and the repositories with the models for CTranslate2.
ALIASES = {
    "tiny": "Systran/faster-whisper-tiny",
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "base": "Systran/faster-whisper-base",
    "base.en": "Systran/faster-whisper-base.en",
    "small": "Systran/faster-whisper-small",
    "small.en": "Systran/faster-whisper-small.en",
    "medium": "Systran/faster-whisper-medium",
    "medium.en": "Systran/faster-whisper-medium.en",
    "large": "Systran/faster-whisper-large-v3",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}

# Accepts the same ids as `huggingface_hub.utils.validate_repo_id`, whose import also imports the HTTP client.
_HUB_ID = re.compile(r"(?!.*(?:--|\.\.|\.git$))(?:[A-Za-z0-9](?:[\w.-]{0,94}\w)?(?:/|$)){2}(?<!/)", re.ASCII)

# Without these files faster-whisper cannot load a model, or contacts the Hub for the missing ones.
_NEEDED = ("model.bin", "config.json", "tokenizer.json")

# All files that it reads.
_FILES = [*_NEEDED, "preprocessor_config.json", "vocabulary.*"]

# Disk space that a download must leave free.
_SPARED_BYTES = 1024**3

_POLL_SECONDS = 0.2


class ModelCache:
    """The models in the Hugging Face cache (`HF_HOME`) and in the administrator's folders, and those to be downloaded.

    Only models that the administrator allows are downloaded: clients must not be able to fill the disk.
    """

    def __init__(self, settings: Settings) -> None:
        named = [settings.model, *settings.allowed_models]
        self._folders = {Path(name).name: Path(name) for name in named if name.startswith("/")}
        self._allowed = [ALIASES.get(name, name) for name in named if not name.startswith("/")]
        default = settings.model
        self.default_model = Path(default).name if default.startswith("/") else ALIASES.get(default, default)
        self._downloads: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def resolve(self, name: str) -> str:
        """The id of a model that is on this machine or may be downloaded, by id or alias. Raises ModelNotFound."""
        if name == DEFAULT_ALIAS:
            return self.default_model
        model = ALIASES.get(name, name)
        if model in self._folders or self._may_be_fetched(model) or self._cached(model) is not None:
            return model
        # The name is the client's text: quoted, and cut to the length of an id.
        raise ModelNotFound(
            f"There is no model {name[:100]!r} here that clients may use. GET /v1/models lists those on this machine; "
            "WHISPER__ALLOWED_MODELS adds others."
        )

    def present(self) -> list[Model]:
        """The models on this machine that faster-whisper can load."""
        models = [
            Model(id=name, created=int((folder / "model.bin").stat().st_mtime), owned_by="operator")
            for name, folder in self._folders.items()
            if _is_whole(folder)
        ]
        try:
            cached = huggingface_hub.scan_cache_dir()
        except huggingface_hub.errors.CacheNotFound:
            return models
        return models + [
            Model(id=repo.repo_id, created=int(repo.last_modified), owned_by=repo.repo_id.partition("/")[0])
            for repo in sorted(cached.repos, key=lambda repo: repo.repo_id)
            if self._cached(repo.repo_id) is not None
        ]

    def folder(self, model: str) -> Path:
        """The folder with a model's files. Raises ModelUnavailable unless all of them are on this machine."""
        folder = self._present(model)
        if folder is None:
            raise ModelUnavailable(f"The model {model} is not on this machine.")
        return folder

    def fetch(self, model: str, progress: Callable[[Download], None]) -> None:
        """Downloads a model unless it is on this machine; a second caller waits for the first.

        Raises ModelNotFound if the Hub does not have it, ModelUnavailable if it cannot be downloaded now, NoSpace.
        """
        with self._downloads[model]:
            if self._present(model) is None:
                _download(model, progress)

    def delete(self, model: str) -> None:
        """Deletes a model's files. Raises ModelProtected unless they could be downloaded again."""
        if model == self.default_model or not self._may_be_fetched(model) or huggingface_hub.is_offline_mode():
            raise ModelProtected(f"Clients may not delete the files of {model}: they could not be downloaded again.")
        with self._downloads[model]:
            cached = huggingface_hub.scan_cache_dir()
            revisions = [
                revision.commit_hash
                for repo in cached.repos
                if repo.repo_id == model and repo.repo_type == "model"
                for revision in repo.revisions
            ]
            cached.delete_revisions(*revisions).execute()
            if self._cached(model) is not None:
                raise ModelProtected(f"The files of {model} belong to the host's administrator.")

    def _may_be_fetched(self, model: str) -> bool:
        return bool(_HUB_ID.fullmatch(model)) and any(fnmatchcase(model, pattern) for pattern in self._allowed)

    def _present(self, model: str) -> Path | None:
        folder = self._folders.get(model)
        if folder is not None:
            return folder if _is_whole(folder) else None
        return self._cached(model)

    def _cached(self, model: str) -> Path | None:
        """The folder with a model's files if all of them are in the cache; does not contact the Hub.

        huggingface_hub documents the layout of its cache. Its own lookup imports its HTTP client, which takes a tenth
        of the server's startup time.
        """
        if not _HUB_ID.fullmatch(model):
            return None
        repository = _repository(model)
        try:
            revision = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        folder = repository / "snapshots" / revision
        return folder if _is_whole(folder) else None


def _repository(model: str) -> Path:
    """The folder of a model in the cache."""
    name = huggingface_hub.constants.REPO_ID_SEPARATOR.join(["models", *model.split("/")])
    return Path(huggingface_hub.constants.HF_HUB_CACHE) / name


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def _download(model: str, progress: Callable[[Download], None]) -> None:
    missing = f"The model {model} is not on this machine, and"
    if huggingface_hub.is_offline_mode():
        raise ModelUnavailable(f"{missing} the Hugging Face Hub cannot be reached to download it.")
    cache = Path(huggingface_hub.constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    with _explained(model, f"{missing} the Hugging Face Hub cannot be reached to download it. Try again later."):
        files = huggingface_hub.snapshot_download(model, allow_patterns=_FILES, dry_run=True)
        total = sum(file.file_size or 0 for file in files if file.will_download)
        if shutil.disk_usage(cache).free < total + _SPARED_BYTES:
            raise _no_space(model, f"has {total / 1e6:.0f} MB")
    blobs = _repository(model) / "blobs"
    before = _size(blobs)
    with (
        _explained(model, f"{missing} its download from the Hugging Face Hub failed. Try again later."),
        ThreadPoolExecutor(max_workers=1) as executor,
    ):
        downloading = executor.submit(huggingface_hub.snapshot_download, model, allow_patterns=_FILES)
        while not downloading.done():
            progress(Download(min(total, _size(blobs) - before), total))
            wait([downloading], timeout=_POLL_SECONDS)
        downloading.result()
    progress(Download(total, total))


@contextmanager
def _explained(model: str, unavailable: str) -> Iterator[None]:
    """Turns exceptions of the Hub's client into ModelNotFound, NoSpace, or ModelUnavailable with that message.

    The client also raises those of httpx, hf_xet and the file system, which have no common base class.
    """
    try:
        yield
    except SpeechError:
        raise
    except Exception as error:
        _logger.warning("the model %s cannot be fetched: %s: %s", model, type(error).__name__, error)
        if isinstance(error, huggingface_hub.errors.HFValidationError) or isinstance(
            error.__cause__, huggingface_hub.errors.RepositoryNotFoundError
        ):
            raise ModelNotFound(f"The Hub has no model {model}, or this server may not access it.") from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(model, "is larger than expected") from error
        raise ModelUnavailable(unavailable) from error


def _no_space(model: str, size: str) -> NoSpace:
    return NoSpace(f"The model {model} {size}, which this server's disk has no room for.")


def _size(folder: Path) -> int:
    """Total size in bytes of a folder's files, which may appear and disappear meanwhile."""
    sizes = []
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sum(sizes)
