import shutil
from pathlib import Path

import faster_whisper
import huggingface_hub.constants
import pytest

from whisper_api.engine import ModelNotFound, ModelUnavailable
from whisper_faster.models import ALIASES, ModelCache

BASE = "Systran/faster-whisper-base"

pytestmark = pytest.mark.model


@pytest.fixture
def cache(hub: Path) -> ModelCache:
    assert hub.is_dir()
    return ModelCache("base")


def test_all_names_of_the_library_are_known() -> None:
    assert ALIASES.keys() == set(faster_whisper.available_models())


@pytest.mark.parametrize("name", ["whisper-1", "base", BASE])
def test_names_of_the_default_model(cache: ModelCache, name: str) -> None:
    assert cache.resolve(name) == BASE


@pytest.mark.parametrize(
    "name", ["", "nope", "some/model", "../../etc/passwd", "/etc/passwd", "a/b/c", "x" * 5000, "a\nb"]
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

    monkeypatch.setattr(faster_whisper, "download_model", fail)
    cache.fetch(BASE)


def test_a_known_model_is_unavailable_without_a_hub(cache: ModelCache) -> None:
    assert cache.resolve("small") == "Systran/faster-whisper-small"
    with pytest.raises(ModelUnavailable, match="hub cannot be reached"):
        cache.fetch("Systran/faster-whisper-small")


def test_half_a_model_is_none(cache: ModelCache, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = "models--Systran--faster-whisper-tiny.en"
    shutil.copytree(hub / repository, tmp_path / repository)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for tokenizer in tmp_path.rglob("tokenizer.json"):
        tokenizer.unlink()
    with pytest.raises(ModelUnavailable):
        cache.folder("Systran/faster-whisper-tiny.en")
