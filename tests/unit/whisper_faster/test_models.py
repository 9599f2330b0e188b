import faster_whisper
import pytest

from whisper_server.engines.whisper.models import ALIASES, ModelCache
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import ModelNotFound, ModelUnavailable

BASE = "Systran/faster-whisper-base"


@pytest.fixture
def cache() -> ModelCache:
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


def test_a_known_model_is_unavailable_without_a_hub(cache: ModelCache) -> None:
    assert cache.resolve("small") == "Systran/faster-whisper-small"
    with pytest.raises(ModelUnavailable, match="Hub cannot be reached"):
        cache.fetch("Systran/faster-whisper-small", lambda _: None)


@pytest.mark.parametrize("name", ["small", "Systran/faster-whisper-small", "distil-large-v3"])
def test_what_the_operator_allows(cache: ModelCache, name: str) -> None:
    assert cache.resolve(name).startswith("Systran/")


@pytest.mark.parametrize("pattern", ["*", "*/*"])
@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/../b", "/etc", "a", "a/b c", "a/b\n"])
def test_no_pattern_allows_what_is_no_id(pattern: str, name: str) -> None:
    with pytest.raises(ModelNotFound):
        ModelCache(Settings(model="base", allowed_models=[pattern])).resolve(name)
