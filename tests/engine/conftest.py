"""The real engine, with the models and the recordings that `make models` laid out."""

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whisper_server.process.settings import Settings
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference

if TYPE_CHECKING:
    from whisper_server.engines.whisper.engine import FasterWhisperEngine

_CACHE = Path(__file__).parents[2] / ".cache"

# huggingface_hub reads its environment when it is first imported.
os.environ["HF_HOME"] = str(_CACHE / "models")
os.environ["HF_HUB_OFFLINE"] = "1"

BASE = "Systran/faster-whisper-base"


@pytest.fixture(scope="session", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for what the first model that is loaded measures, for all that follow."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("WHISPER__DATA_FOLDER", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def hub() -> Path:
    folder = _CACHE / "models" / "hub"
    assert folder.is_dir(), "the models are not there: run `make models`"
    return folder


@pytest.fixture(scope="session")
def engine(hub: Path) -> "FasterWhisperEngine":
    """With one thread: how many are faster is measured else, and the text must not depend on the machine."""
    assert hub.is_dir()
    from whisper_server.engines.whisper.engine import FasterWhisperEngine

    return FasterWhisperEngine(Settings(model=BASE, cpu_threads=1))


@pytest.fixture(scope="session")
def transcribed(engine: "FasterWhisperEngine") -> Callable[..., Transcript]:
    """What the engine makes of a recording with some options, decoded once for all tests that ask for the same."""

    @functools.cache
    def transcript(path: Path, **options: Any) -> Transcript:
        return inference.transcribe(engine, path, Options(model=BASE, **options), 1000, lambda *_: None)

    return transcript


@pytest.fixture(scope="session")
def speech() -> list[dict[str, Any]]:
    """The recordings: `path`, `language`, `seconds`, and `text` where it is known."""
    folder = _CACHE / "speech"
    assert (folder / "speech.json").is_file(), "the recordings are not there: run `make models`"
    recordings: list[dict[str, Any]] = json.loads((folder / "speech.json").read_text())
    return [{**recording, "path": folder / recording["file"]} for recording in recordings]
