"""Tells speakers apart with what the image of WhisperX holds; run by test_diarization.py, there."""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyannote.audio import Pipeline
from pyannote.audio.core.plda import PLDA
from pyannote.audio.pipelines.clustering import AgglomerativeClustering, VBxClustering

from whisper_api.audio import Recording
from whisper_api.engine import Speakers
from whisperx_engine import speaker_clusters
from whisperx_engine.diarization import speaker_turns
from whisperx_engine.local_speakers import LocalSpeakers, Windows
from whisperx_engine.turns import turns


def vbx(dimension: int) -> Any:
    """community-1's clustering and parameters, with random weights in the form of its own."""
    random = np.random.default_rng(0)
    size = min(128, dimension)
    with tempfile.TemporaryDirectory() as folder:
        transform, plda = Path(folder) / "transform.npz", Path(folder) / "plda.npz"
        lda = random.standard_normal((dimension, size)) / dimension
        np.savez(transform, mean1=np.zeros(dimension), mean2=np.zeros(size), lda=lda)
        spread = np.sort(random.uniform(0.5, 20, size))[::-1]
        np.savez(plda, mu=np.zeros(size), tr=np.linalg.qr(random.standard_normal((size, size)))[0], psi=spread)
        clustering = VBxClustering(PLDA(transform, plda, size))
    return clustering.instantiate({"threshold": 0.6, "Fa": 0.07, "Fb": 0.8})


def of_a_recording(given: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    pipeline = Pipeline.from_pretrained(given["pipeline"])
    pipeline.segmentation_batch_size = pipeline.embedding_batch_size = 2
    speaker_clusters._SAMPLE = given.get("sample", speaker_clusters._SAMPLE)
    if given.get("vbx"):
        pipeline.clustering = vbx(pipeline._embedding.dimension)
    samples = np.array(given["samples"], np.int16)
    answer: dict[str, Any] = {}
    with Recording() as recording:
        recording.append(samples)
        told: list[float] = []
        speakers = Speakers(**given.get("speakers", {}))
        answer["ours"] = speaker_turns(pipeline, recording, speakers, 2, lambda _, share: told.append(share))
        assert told == sorted(told)
    if given.get("pyannote"):
        waveform = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
        found = pipeline({"waveform": waveform, "sample_rate": 16_000}).speaker_diarization
        answer["theirs"] = [(turn.start, turn.end, speaker) for turn, _, speaker in found.itertracks(yield_label=True)]
    return answer


def anonymous_megabytes() -> float:
    """What the process takes beside files that it maps."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) / 1000


def of_long_ago(hours: int, people: int) -> LocalSpeakers:
    """What windows of 10 s every second would hear of people of whom each speaks for 7 s, two at a time."""
    windows = hours * 3600 - 9
    active = np.zeros((windows, 589, 3), bool)
    active[:, :400, 0] = active[:, 300:, 1] = True
    random = np.random.default_rng(0)
    window, speaker = np.repeat(np.arange(windows), 2), np.tile([0, 1], windows)
    embeddings = random.standard_normal((2 * windows, 256), dtype=np.float32)
    embeddings *= 0.1
    embeddings += random.standard_normal((people, 256), dtype=np.float32)[(window // 7 + speaker) % people]
    return LocalSpeakers(
        Windows(10, 1, 0.0619375, 0.016875), active.astype(np.uint8) * 255, active, embeddings, window, speaker
    )


def of_hours(given: dict[str, Any]) -> dict[str, Any]:
    """How many are found, and how much memory it takes beyond what there was before, the windows' own included."""
    clustering = vbx(256)
    if not given["vbx"]:
        parameters = {"threshold": 0.7, "method": "centroid", "min_cluster_size": 12}
        clustering = AgglomerativeClustering().instantiate(parameters)
    # Whatever the first call loads is the libraries', not the recording's.
    short = of_long_ago(1, 8)
    turns(short, speaker_clusters.people(clustering, short, Speakers()), 0.0)
    before, most = anonymous_megabytes(), [0.0]
    threading.Thread(target=watch, args=(most,), daemon=True).start()
    found = of_long_ago(given["hours"], 8)
    who = speaker_clusters.people(clustering, found, Speakers(number=8 if given["vbx"] else None))
    told = turns(found, who, 0.0)
    return {
        "windows": len(found.active),
        "people": len({turn.speaker for turn in told}),
        "megabytes": max(most[0], anonymous_megabytes()) - before,
    }


def watch(most: list[float]) -> None:
    while True:
        most[0] = max(most[0], anonymous_megabytes())
        time.sleep(0.02)


if __name__ == "__main__":
    request = json.load(sys.stdin)
    # Libraries talk on standard output.
    out, sys.stdout = sys.stdout, sys.stderr
    answer = of_hours(request) if "hours" in request else of_a_recording(request)
    print(json.dumps(answer), file=out, flush=True)
    os._exit(0)
