import json
from pathlib import Path
from typing import Any

import pytest

from whisper_api import inference
from whisper_api.engine import Options
from whisper_api.settings import Settings
from whisper_faster import window_threads
from whisper_faster.engine import FasterWhisperEngine

BASE = "Systran/faster-whisper-base"


class Machine:
    """Models that are nothing but their threads, and what a window takes with each number of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.loaded: list[int] = []
        monkeypatch.setattr(window_threads, "seconds_of_a_window", lambda threads: self.seconds[threads])

    def model_with(self, threads: int) -> Any:
        self.loaded.append(threads)
        return threads

    def fastest(self, folder: Path, what: str = "a model") -> Any:
        self.loaded.clear()
        return window_threads.fastest(folder, what, 2, self.model_with)


@pytest.mark.parametrize(("one", "two", "chosen"), [(0.2, 0.5, 1), (0.24, 0.2, 1), (0.3, 0.2, 2)])
def test_a_window_gets_the_threads_that_are_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: float, two: float, chosen: int
) -> None:
    machine = Machine(monkeypatch, {1: one, 2: two})
    assert machine.fastest(tmp_path) == chosen
    assert machine.loaded[-1] == chosen


def test_it_is_measured_once_for_each_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 0.2, 2: 0.5})
    machine.fastest(tmp_path)
    machine.seconds = {}
    assert machine.fastest(tmp_path) == 1
    assert machine.loaded == [1]
    machine.seconds |= {1: 0.5, 2: 0.2}
    assert machine.fastest(tmp_path, "another model") == 2
    assert machine.fastest(tmp_path) == 1
    assert machine.fastest(tmp_path, "another model") == 2
    assert machine.loaded == [2]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a model": "many"}'])
def test_a_file_that_says_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    (tmp_path / window_threads.FILE).write_text(content)
    machine = Machine(monkeypatch, {1: 0.2, 2: 0.5})
    assert machine.fastest(tmp_path) == 1
    assert 1 in json.loads((tmp_path / window_threads.FILE).read_text()).values()


def test_without_the_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 0.2, 2: 0.5})
    assert machine.fastest(tmp_path / "missing") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.model
@pytest.mark.parametrize(("threads", "workers"), [(1, 2), (2, 1)])
def test_windows_side_by_side_have_the_text_of_one_after_the_other(
    hub: Path,
    speech: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    workers: int,
) -> None:
    assert hub.is_dir()
    path = next(entry["path"] for entry in speech if entry["file"].endswith("two_cities.wav"))
    options = Options(model=BASE, language="en", batch_size=2)
    # Which is faster is not for this machine to say: the other number of threads takes a second more.
    real = window_threads.seconds_of_a_window
    monkeypatch.setattr(
        window_threads, "seconds_of_a_window", lambda model: real(model) + (1 if model.workers != workers else 0)
    )
    transcripts = []
    for settings in (Settings(model=BASE, cpu_threads=1), Settings(model=BASE, cpu_threads=2, data_folder=tmp_path)):
        engine = FasterWhisperEngine(settings)
        transcripts.append(inference.transcribe(engine, path, options, 1000, lambda *_: None))
    assert list(json.loads((tmp_path / window_threads.FILE).read_text()).values()) == [threads]
    assert transcripts[0].text == transcripts[1].text
