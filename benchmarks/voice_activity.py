"""Silero's voice activity detection, which the server uses, and pyannote's, which WhisperX does: time and text.

Runs in the image of WhisperX: `python - MODEL < voice_activity.py`. RECORDINGS in the environment is a JSON list of
files: the time is taken with the first, the others are transcribed. Prints JSON.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from faster_whisper import BatchedInferencePipeline, WhisperModel
from whisperx.vads import Pyannote

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper.voice_activity import SpeechDetector
from whisper_server.speech.decoding import decode
from whisper_server.speech.options import VoiceActivity

THREADS = 2
ROUNDS = 3
BATCH_SIZE = 4

torch.set_num_threads(THREADS)
# WhisperX's defaults.
pyannote = Pyannote(torch.device("cpu"), token=None, chunk_size=30, vad_onset=0.500, vad_offset=0.363)
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=THREADS)
# The library annotates the class but not its constructor.
batched = BatchedInferencePipeline(model)
detector = SpeechDetector(Residency(-1))


def of_silero(samples: Any) -> list[dict[str, float]]:
    return [{"start": window.start, "end": window.end} for window in detector.windows(samples, VoiceActivity())]


def of_pyannote(samples: Any) -> list[dict[str, float]]:
    found = pyannote({"waveform": torch.from_numpy(samples[None]), "sample_rate": 16_000})
    merged = pyannote.merge_chunks(found, 30, onset=0.500, offset=0.363)
    return [{"start": float(part["start"]), "end": float(part["end"])} for part in merged]


def text(samples: Any, windows: list[dict[str, float]]) -> str:
    if not windows:
        return ""
    segments, _ = batched.transcribe(
        samples, language="en", clip_timestamps=windows, batch_size=BATCH_SIZE, without_timestamps=False
    )
    return "".join(segment.text for segment in segments).strip()


def main() -> None:
    methods: dict[str, Callable[[Any], list[dict[str, float]]]] = {"silero": of_silero, "pyannote": of_pyannote}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    texts: dict[str, list[str]] = {name: [] for name in methods}
    for number, path in enumerate(json.loads(os.environ["RECORDINGS"])):
        with decode(Path(path), 10_000) as recording:
            samples = recording.samples(0, recording.seconds)
        if number == 0:
            for _ in range(ROUNDS):
                for name, find in methods.items():
                    start = time.monotonic()
                    find(samples)
                    seconds[name].append(time.monotonic() - start)
            continue
        for name, find in methods.items():
            texts[name].append(text(samples, find(samples)))
    print(json.dumps({name: {"seconds": statistics.median(seconds[name]), "texts": texts[name]} for name in methods}))


main()
