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

from whisper_server.engines.whisperx import diarization, speaker_clusters
from whisper_server.engines.whisperx.diarization import speaker_turns
from whisper_server.engines.whisperx.local_speakers import LocalSpeakers, Windows, local_speakers
from whisper_server.engines.whisperx.turns import Turn, turns
from whisper_server.speech.options import Speakers
from whisper_server.speech.recording import Recording

# The demo's.
AGGLOMERATIVE = AgglomerativeClustering().instantiate({"threshold": 0.7, "method": "centroid", "min_cluster_size": 6})
HEARD: list[LocalSpeakers] = []


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
    """The turns that we find in each way that is asked for, and pyannote's own."""
    torch.set_num_threads(1)
    pipeline = Pipeline.from_pretrained(given["pipeline"])
    pipeline.segmentation_batch_size = pipeline.embedding_batch_size = 2
    samples = np.array(given["samples"], np.int16)
    with Recording() as recording:
        recording.append(samples)
        return {
            "ours": [ours(pipeline, recording, **way) for way in given["ways"]],
            "theirs": theirs(pipeline, samples) if given["pyannote"] else None,
        }


def ours(
    pipeline: Any,
    recording: Recording,
    speakers: dict[str, int] | None = None,
    sample: int = speaker_clusters._SAMPLE,
    with_vbx: bool = False,
) -> list[Turn]:
    pipeline.clustering = vbx(pipeline._embedding.dimension) if with_vbx else AGGLOMERATIVE
    speaker_clusters._SAMPLE = sample
    told: list[float] = []
    turns = speaker_turns(pipeline, recording, Speakers(**speakers or {}), 2, lambda _, share: told.append(share))
    assert told == sorted(told)
    return turns


def theirs(pipeline: Any, samples: Any) -> list[tuple[float, float, str]]:
    pipeline.clustering = AGGLOMERATIVE
    waveform = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
    found = pipeline({"waveform": waveform, "sample_rate": 16_000}).speaker_diarization
    return [(turn.start, turn.end, speaker) for turn, _, speaker in found.itertracks(yield_label=True)]


def heard_once(pipeline: Any, recording: Recording, at_once: int, progress: Any) -> LocalSpeakers:
    """The models are asked once for a recording that is clustered in several ways."""
    if not HEARD:
        HEARD.append(local_speakers(pipeline, recording, at_once, progress))
    return HEARD[0]


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
    clustering = vbx(256) if given["vbx"] else AGGLOMERATIVE
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
    vars(diarization)["local_speakers"] = heard_once
    # Libraries talk on standard output.
    out, sys.stdout = sys.stdout, sys.stderr
    answer = of_hours(request) if "hours" in request else of_a_recording(request)
    print(json.dumps(answer), file=out, flush=True)
    os._exit(0)
