from pathlib import Path

import pytest

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper.models import ModelCache
from whisper_server.engines.whisper.whisper_models import WhisperModels
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import ModelTooLarge, ModelUnavailable

BASE = "Systran/faster-whisper-base"  # 145 MB
TINY = "Systran/faster-whisper-tiny.en"  # 76 MB


def models(hub: Path, megabytes: int) -> tuple[WhisperModels, Residency]:
    """Models on a machine with so much memory beyond what the process itself needs."""
    assert hub.is_dir()
    settings = Settings(model=BASE)
    residency = Residency(settings.ttl, lambda: (400 + megabytes) * 1024**2)
    return WhisperModels(settings, ModelCache(settings).folder, residency), residency


def load(loaded: WhisperModels, name: str) -> None:
    with loaded.use(name):
        pass


def test_both_stay_where_there_is_room(hub: Path) -> None:
    loaded, residency = models(hub, 250)
    load(loaded, BASE)
    load(loaded, TINY)
    assert residency.names() == (BASE, TINY)


def test_the_least_recently_used_makes_room(hub: Path) -> None:
    loaded, residency = models(hub, 150)
    load(loaded, TINY)
    load(loaded, BASE)
    assert residency.names() == (BASE,)
    load(loaded, TINY)
    assert residency.names() == (TINY,)


def test_one_at_work_stays(hub: Path) -> None:
    loaded, residency = models(hub, 150)
    with loaded.use(BASE), pytest.raises(ModelUnavailable, match="in use"):
        load(loaded, TINY)
    assert residency.names() == (BASE,)
    load(loaded, TINY)


def test_one_that_never_fits_is_refused_before_it_is_loaded(hub: Path) -> None:
    with pytest.raises(ModelTooLarge, match="needs 145 MB of memory, this server has 105 MB"):
        load(models(hub, 100)[0], BASE)


def test_memory_comes_back(hub: Path) -> None:
    def resident() -> int:
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
        return int(line.split()[1]) * 1024

    loaded, residency = models(hub, 1000)
    load(loaded, BASE)
    before = resident()
    assert residency.unload(BASE)
    assert before - resident() > 50e6
