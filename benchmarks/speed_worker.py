"""One participant of benchmarks/speed.py: a recording's path and language a line on stdin, what it took on stdout."""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.whisper_faster import CACHE, MODEL


def ours(path: Path, language: str | None) -> tuple[str, int]:
    transcript = inference.transcribe(engine, path, Options(model=MODEL, language=language), 10_000, lambda *_: None)
    return transcript.text, len(transcript.segments)


def library(path: Path, language: str | None) -> tuple[str, int]:
    segments = list(transcribe(str(path), language=language)[0])
    return "".join(segment.text for segment in segments).strip(), len(segments)


if sys.argv[1] == "ours":
    from whisper_server.engines.whisper.engine import FasterWhisperEngine
    from whisper_server.process.settings import Settings
    from whisper_server.speech.options import Options
    from whisper_server.work import inference

    engine = FasterWhisperEngine(Settings(model=MODEL, ttl=-1))
    engine.load(MODEL)
    work = ours
else:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    (snapshot,) = (CACHE / "models/hub/models--Systran--faster-whisper-base/snapshots").iterdir()
    model = WhisperModel(str(snapshot), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)
    if sys.argv[1] == "WhisperModel":
        transcribe: Any = model.transcribe
    else:
        pipeline = BatchedInferencePipeline(model)
        transcribe = partial(pipeline.transcribe, batch_size=8)

    work = library

for line in sys.stdin:
    request = json.loads(line)
    start = time.monotonic()
    text, segments = work(Path(request["path"]), request["language"])
    answer = {"seconds": time.monotonic() - start, "text": text, "segments": segments}
    print(json.dumps(answer), flush=True)
