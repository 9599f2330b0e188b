"""What it costs to decode recordings in processes of their own, against decoding them in the server as before.

Both decode the same file in turn, in one run; the share is of the time that the server needs for the whole request. A
request that waits for another one has its file checked besides, while the other one is worked on.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av

from benchmarks.rows import Row, below
from benchmarks.whisper_faster import ELEVEN, SHORT, SPEECH, Server, serving, wait_until_ready
from whisper_server.speech import decoding
from whisper_server.speech.recording import SAMPLE_RATE, Recording

_TIMES = 40
_LIMIT = 43_200.0


def measure(*, warm: bool) -> list[Row]:  # noqa: ARG001 - every suite is called so
    """The rows of the suite; `warm` changes nothing."""
    with serving() as server:
        wait_until_ready(server)
        return [row for name in (SHORT, ELEVEN) for row in _rows(server, name)]


def _rows(server: Server, name: str) -> list[Row]:
    path = SPEECH / name
    ours, checks, before, whole = [], [], [], []
    for _ in range(_TIMES + 1):
        ours.append(_seconds(lambda: decoding.decode(path, _LIMIT).close()))
        before.append(_seconds(lambda: _in_the_server(path)))
        checks.append(_seconds(lambda: decoding.check(path, _LIMIT)))
    for _ in range(11):
        whole.append(_seconds(lambda: server.transcribe(name)))
    added = statistics.median(mine - other for mine, other in zip(ours[1:], before[1:], strict=True))
    share = 100 * added / statistics.median(whole[1:])
    with decoding.decode(path, _LIMIT) as recording:
        length = f"{recording.seconds:.0f} s"
    return [
        below(f"{length}: decoding in a separate process, added time", 1000 * added, "ms", 10),
        below(f"{length}: share of the request's time", share, "%", 2),
        below(
            f"{length}: check in a separate process, for a queued request",
            1000 * statistics.median(checks[1:]),
            "ms",
            15,
        ),
    ]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _in_the_server(path: Path) -> None:
    """What the server did itself: the first frame to check a file, all of them to decode it."""
    with av.open(str(path), metadata_errors="ignore") as container:
        next(container.decode(audio=0))
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with Recording() as recording, av.open(str(path), metadata_errors="ignore") as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            for resampled in resampler.resample(frame):
                recording.append(resampled.to_ndarray()[0])
        for resampled in resampler.resample(None):
            recording.append(resampled.to_ndarray()[0])
