"""Which Whisper models there are, and where their files lie: a Hugging Face cache, asked before any hub."""

import threading
from collections import defaultdict
from pathlib import Path

from whisper_api.engine import Model, ModelNotFound, ModelUnavailable

# huggingface_hub and faster_whisper are imported where they are used: they would delay the start of the server.

DEFAULT_ALIAS = "whisper-1"

# A name that OpenAI's users or faster-whisper's know, and the repository that holds the model for CTranslate2.
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

# Without these faster-whisper cannot load a model, or asks the hub for what is missing.
_NEEDED = ("model.bin", "config.json", "tokenizer.json")


class ModelCache:
    """The models in the Hugging Face cache of this process (`HF_HOME`), and those it may add to it."""

    def __init__(self, default_model: str) -> None:
        self.default_model = ALIASES.get(default_model, default_model)
        self._downloads: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def resolve(self, name: str) -> str:
        """The repository of an alias, or of a model that is known or here. Raises ModelNotFound."""
        if name == DEFAULT_ALIAS:
            return self.default_model
        model = ALIASES.get(name, name)
        if model in ALIASES.values() or model == self.default_model or self._cached(model) is not None:
            return model
        # The name is the client's text: quoted, and no more of it than an id can have.
        raise ModelNotFound(f"There is no model {name[:100]!r} here. GET /v1/models lists those on this machine.")

    def present(self) -> list[Model]:
        """The models in the cache that faster-whisper can load."""
        import huggingface_hub

        try:
            cached = huggingface_hub.scan_cache_dir()
        except huggingface_hub.errors.CacheNotFound:
            return []
        return [
            Model(id=repo.repo_id, created=int(repo.last_modified), owned_by=repo.repo_id.partition("/")[0])
            for repo in sorted(cached.repos, key=lambda repo: repo.repo_id)
            if self._cached(repo.repo_id) is not None
        ]

    def folder(self, model: str) -> Path:
        """The folder of a model's files. Raises ModelUnavailable when they are not all in the cache."""
        folder = self._cached(model)
        if folder is None:
            raise ModelUnavailable(f"The model {model} is not on this machine.")
        return folder

    def fetch(self, model: str) -> None:
        """Downloads a model unless it is in the cache; a second caller waits for the first.

        Raises ModelNotFound when the hub does not have it, ModelUnavailable when the hub cannot be reached.
        """
        with self._downloads[model]:
            if self._cached(model) is None:
                _download(model)

    def _cached(self, model: str) -> Path | None:
        """The folder of a model's files when all of them are in the cache; the hub is not asked."""
        import huggingface_hub

        try:
            found = [huggingface_hub.try_to_load_from_cache(model, name) for name in _NEEDED]
        except huggingface_hub.errors.HFValidationError:
            return None
        paths = [Path(path) for path in found if isinstance(path, str)]
        return paths[0].parent if len(paths) == len(_NEEDED) else None


def _download(model: str) -> None:
    import faster_whisper
    import huggingface_hub

    try:
        faster_whisper.download_model(model)
    except huggingface_hub.errors.RepositoryNotFoundError as error:
        raise ModelNotFound(f"The hub has no model {model}, or does not show it to this server.") from error
    except (OSError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise ModelUnavailable(
            f"The model {model} is not on this machine, and the Hugging Face hub cannot be reached to fetch it."
        ) from error
