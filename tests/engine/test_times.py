"""Times of real speech in many languages, which is where windows and texts disagree."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.api import sounds
from whisper_server.engines.whisper.engine import FasterWhisperEngine
from whisper_server.speech import decoding
from whisper_server.speech.options import Options
from whisper_server.work import inference

BASE = "Systran/faster-whisper-base"


@pytest.fixture(scope="module")
def languages(speech: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples: list[Any] = []
    for entry in speech:
        if entry["file"].startswith("audioeval/"):
            with decoding.decode(entry["path"], 100) as sound:
                samples += [sound.samples(0, sound.seconds), np.zeros(sounds.RATE // 2)]
    path = tmp_path_factory.mktemp("speech") / "languages.wav"
    # The recording ends with the last word.
    path.write_bytes(sounds.wav(np.concatenate(samples[:-1])[: -sounds.RATE // 3]))
    return path


@pytest.mark.parametrize(("batch_size", "word_timestamps"), [(1, False), (4, True)])
def test_times_rise_and_end_with_the_recording(
    engine: FasterWhisperEngine, languages: Path, batch_size: int, word_timestamps: bool
) -> None:
    options = Options(model=BASE, batch_size=batch_size, word_timestamps=word_timestamps)
    transcript = inference.transcribe(engine, languages, options, 1000, lambda *_: None)
    assert len(transcript.segments) > 10
    assert len(transcript.words) > 50 or not word_timestamps
    for parts in ([(s.start, s.end) for s in transcript.segments], [(w.start, w.end) for w in transcript.words]):
        assert all(0 <= start <= end <= transcript.duration for start, end in parts)
        assert all(before[1] <= after[0] for before, after in pairwise(parts))
