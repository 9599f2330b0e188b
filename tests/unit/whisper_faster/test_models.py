import shutil
from pathlib import Path

import faster_whisper
import huggingface_hub
import huggingface_hub.constants
import pytest

from whisper_api.engine import ModelNotFound, ModelProtected, ModelUnavailable
from whisper_api.settings import Settings
from whisper_faster.models import ALIASES, ModelCache

BASE = "Systran/faster-whisper-base"

pytestmark = pytest.mark.model


@pytest.fixture
def cache(hub: Path) -> ModelCache:
    assert hub.is_dir()
    return ModelCache(Settings(model="base", allowed_models=["small", "Systran/faster-distil-*"]))


def test_all_names_of_the_library_are_known() -> None:
    assert ALIASES.keys() == set(faster_whisper.available_models())


@pytest.mark.parametrize("name", ["whisper-1", "base", BASE])
def test_names_of_the_default_model(cache: ModelCache, name: str) -> None:
    assert cache.resolve(name) == BASE


@pytest.mark.parametrize(
    "name", ["", "nope", "some/model", "large-v3", "../../etc/passwd", "/etc/passwd", "a/b/c", "x" * 5000, "a\nb"]
)
def test_other_names_are_refused(cache: ModelCache, name: str) -> None:
    with pytest.raises(ModelNotFound) as refused:
        cache.resolve(name)
    assert len(str(refused.value)) < 250


def test_what_is_present(cache: ModelCache) -> None:
    assert [model.id for model in cache.present()] == [BASE, "Systran/faster-whisper-tiny.en"]
    assert (cache.folder(BASE) / "model.bin").is_file()


def test_a_present_model_is_not_asked_of_the_hub(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    cache.fetch(BASE, lambda _: None)


def test_a_known_model_is_unavailable_without_a_hub(cache: ModelCache) -> None:
    assert cache.resolve("small") == "Systran/faster-whisper-small"
    with pytest.raises(ModelUnavailable, match="hub cannot be reached"):
        cache.fetch("Systran/faster-whisper-small", lambda _: None)


def test_half_a_model_is_none(cache: ModelCache, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = "models--Systran--faster-whisper-tiny.en"
    shutil.copytree(hub / repository, tmp_path / repository)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for tokenizer in tmp_path.rglob("tokenizer.json"):
        tokenizer.unlink()
    with pytest.raises(ModelUnavailable):
        cache.folder("Systran/faster-whisper-tiny.en")


@pytest.mark.parametrize("name", ["small", "Systran/faster-whisper-small", "distil-large-v3"])
def test_what_the_operator_allows(cache: ModelCache, name: str) -> None:
    assert cache.resolve(name).startswith("Systran/")


@pytest.mark.parametrize("pattern", ["*", "*/*"])
@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/../b", "/etc", "a", "a/b c", "a/b\n"])
def test_no_pattern_allows_what_is_no_id(pattern: str, name: str) -> None:
    with pytest.raises(ModelNotFound):
        ModelCache(Settings(model="base", allowed_models=[pattern])).resolve(name)


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
