import shutil
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from whisper_server.engines.whisper.models import ModelCache
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import ModelNotFound, ModelProtected, ModelUnavailable

BASE = "Systran/faster-whisper-base"


@pytest.fixture
def cache(hub: Path) -> ModelCache:
    assert hub.is_dir()
    return ModelCache(Settings(model="base", allowed_models=["small", "Systran/faster-distil-*"]))


def test_what_is_present(cache: ModelCache) -> None:
    assert [model.id for model in cache.present()] == [BASE, "Systran/faster-whisper-tiny.en"]
    assert (cache.folder(BASE) / "model.bin").is_file()


def test_a_present_model_is_not_asked_of_the_hub(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    cache.fetch(BASE, lambda _: None)


def test_half_a_model_is_none(cache: ModelCache, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = "models--Systran--faster-whisper-tiny.en"
    shutil.copytree(hub / repository, tmp_path / repository)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for tokenizer in tmp_path.rglob("tokenizer.json"):
        tokenizer.unlink()
    with pytest.raises(ModelUnavailable):
        cache.folder("Systran/faster-whisper-tiny.en")


def test_a_folder_of_the_operator(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snapshot,) = (hub / "models--Systran--faster-whisper-tiny.en" / "snapshots").iterdir()
    monkeypatch.setenv("WHISPER__ALLOWED_MODELS", f"small, {snapshot}")
    cache = ModelCache(Settings(model="base"))
    assert cache.resolve(snapshot.name) == snapshot.name
    assert cache.folder(snapshot.name) == snapshot
    assert snapshot.name in [model.id for model in cache.present()]
    with pytest.raises(ModelNotFound):
        cache.resolve(str(snapshot))


def test_files_that_could_not_be_fetched_again_stay(cache: ModelCache, hub: Path) -> None:
    for model in (BASE, "Systran/faster-whisper-tiny.en", "Systran/faster-whisper-small"):
        with pytest.raises(ModelProtected):
            cache.delete(model)
    assert (hub / "models--Systran--faster-whisper-base").is_dir()
