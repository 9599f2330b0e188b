import json
from pathlib import Path
from typing import Any

import pytest

from whisper_server.engines.whisper import window_threads

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
