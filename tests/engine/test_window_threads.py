import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whisper_server.engines.whisper import window_threads
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.process.settings import Settings
from whisper_server.speech.options import Options
from whisper_server.speech.transcript import Transcript
from whisper_server.work import inference

BASE = "Systran/faster-whisper-base"


@pytest.mark.parametrize(("threads", "workers"), [(1, 2), (2, 1)])
def test_windows_side_by_side_have_the_text_of_one_after_the_other(
    transcribed: Callable[..., Transcript],
    speech: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    workers: int,
) -> None:
    path = next(entry["path"] for entry in speech if entry["file"].endswith("two_cities.wav"))
    options = Options(model=BASE, language="en", batch_size=2)
    # Which is faster is not for this machine to say: the other number of threads takes a second more.
    real = window_threads.seconds_of_a_window
    monkeypatch.setattr(
        window_threads, "seconds_of_a_window", lambda model: real(model) + (1 if model.workers != workers else 0)
    )
    engine = FasterWhisperEngine(Settings(model=BASE, cpu_threads=2, data_folder=tmp_path))
    side_by_side = inference.transcribe(engine, path, options, 1000, lambda *_: None)
    assert list(json.loads((tmp_path / window_threads.FILE).read_text()).values()) == [threads]
    assert side_by_side.text == transcribed(path, language="en", batch_size=2).text
