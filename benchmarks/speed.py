"""How fast recordings become text: this project's engine, the library that it is built on, and other servers.

Each has a process of its own, they take turns with the same recording, and what they heard is held against its
transcript. This project's engine takes part twice: in a process as the library does, and as users have it, the demo
asked over HTTPS. A peer is another server of OpenAI's API: `--peer NAME=URL`.
"""

import json
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from benchmarks.rows import RESULTS, Row, above, below
from benchmarks.whisper_faster import (
    AS_THE_LIBRARY,
    ELEVEN,
    ENVIRONMENT,
    ROOT,
    SHORT,
    SPEECH,
    URL,
    serving,
    wait_until_ready,
)
from demo.transcribe import read_env
from testbed.word_error_rate import errors

OURS, SEQUENTIAL, BATCHED = "ours", "WhisperModel", "BatchedInferencePipeline(batch_size=8)"
LIBRARIES = (OURS, SEQUENTIAL, BATCHED)
PUBLIC = "ours, over HTTPS"
# Ours without what makes it faster: what accuracy is held against.
WHOLE = "ours, full windows"

# Six minutes of English: different speakers, read, on the stage, on the radio and on the telephone.
LONG_PARTS = (
    "silero/aepyx.wav",
    "silero/test.wav",
    "moonshine/two_cities.wav",
    "moonshine/endgame_nagg_nell.wav",
    "pyannote/sample.wav",
    "moonshine/beckett.wav",
)
# The same in each of its orders. WhisperModel, which would take ten minutes, is not asked.
LONGER_PARTS = tuple(part for first in range(len(LONG_PARTS)) for part in (*LONG_PARTS[first:], *LONG_PARTS[:first]))
CLIENTS = 8

Transcribe = Callable[[Path, str | None], tuple[float, str, int]]


@dataclass(frozen=True)
class Speed:
    """What one participant took for one recording, in seconds; `wrong` is in percent of the words, -1 if unknown."""

    case: str
    participant: str
    seconds: float
    least: float
    most: float
    runs: int
    wrong: float
    segments: int


@contextmanager
def process(participant: str) -> Iterator[tuple[Transcribe, int]]:
    """A library in a process of its own, and that process's id."""
    command = [sys.executable, "-m", "benchmarks.speed_worker", OURS if participant == WHOLE else participant]
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ROOT / 'images'}"}
    if participant == WHOLE:
        environment |= AS_THE_LIBRARY
    worker = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("the worker has no pipes")
    requests, answers = worker.stdin, worker.stdout

    def transcribe(path: Path, language: str | None) -> tuple[float, str, int]:
        print(json.dumps({"path": str(path), "language": language}), file=requests, flush=True)
        line = answers.readline()
        if not line:
            raise RuntimeError(f"the process of {participant} ended")
        answer = json.loads(line)
        return answer["seconds"], answer["text"], answer["segments"]

    try:
        yield transcribe, worker.pid
    finally:
        requests.close()
        worker.wait(30)


@contextmanager
def peer(url: str, key: str = "", authority: str | None = None) -> Iterator[Transcribe]:
    """A server of OpenAI's API, which takes an API key and has its certificate from an authority's file."""
    trusted = ssl.create_default_context(cafile=authority)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, timeout=600, headers=headers, verify=trusted) as http:

        def transcribe(path: Path, language: str | None) -> tuple[float, str, int]:
            form = {"model": "whisper-1", "response_format": "verbose_json"} | (
                {"language": language} if language else {}
            )
            content = path.read_bytes()
            start = time.monotonic()
            answer = http.post(URL, files={"file": (path.name, content)}, data=form).raise_for_status().json()
            return time.monotonic() - start, answer["text"], len(answer["segments"])

        yield transcribe


@contextmanager
def demo() -> Iterator[Transcribe]:
    """The demo's server, awake."""
    env = read_env(ROOT / ".demo/env")
    with peer(env["WHISPER_URL"], env["API_KEY"], env["CA_FILE"]) as transcribe:
        transcribe(SPEECH / SHORT, "en")
        yield transcribe


def forget_peak(pid: int) -> None:
    """`peak_megabytes` begins anew (proc_pid_clear_refs(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_megabytes(pid: int) -> float:
    """The most memory that a process held, files that it maps included, in MiB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def join(parts: Sequence[str], path: Path) -> float:
    """Write recordings one after the other; how many seconds they are."""
    from whisper_server.speech import decoding
    from whisper_server.speech.recording import SAMPLE_RATE

    seconds = 0.0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for part in parts:
            with decoding.decode(SPEECH / part, 1000) as sound:
                file.writeframes((sound.samples(0, sound.seconds) * 32767).astype("int16").tobytes())
                seconds += sound.seconds
    return seconds


def take_turns(
    case: str,
    participants: dict[str, Transcribe],
    path: Path,
    language: str | None,
    runs: int,
    wrong: Callable[[str], float] = lambda _: -1.0,
    warm_up: bool = True,
) -> list[Speed]:
    """Each transcribes the recording so many times, in turn, and once before that does not count."""
    print(f"{case} …", flush=True)
    taken: dict[str, list[float]] = {name: [] for name in participants}
    heard: dict[str, tuple[str, int]] = {}
    for number in range(runs + warm_up):
        for name, transcribe in participants.items():
            seconds, text, segments = transcribe(path, language)
            if number >= warm_up:
                taken[name].append(seconds)
                heard[name] = (text, segments)
    return [
        Speed(
            case,
            name,
            round(statistics.median(times), 3),
            round(min(times), 3),
            round(max(times), 3),
            len(times),
            round(wrong(heard[name][0]), 2),
            heard[name][1],
        )
        for name, times in taken.items()
    ]


def all_recordings(participants: dict[str, Transcribe], *, quick: bool) -> list[Speed]:
    """Each hears every recording whose text is known: seconds and wrong words of all together."""
    entries = [entry for entry in json.loads((SPEECH / "speech.json").read_text()) if entry["text"]]
    entries = [entry for entry in entries if entry["language"] == "en"] if quick else entries
    case = f"{len(entries)} recordings of known text"
    print(f"{case} …", flush=True)
    taken = dict.fromkeys(participants, 0.0)
    wrong = dict.fromkeys(participants, 0.0)
    found = dict.fromkeys(participants, 0)
    words = 0
    for entry in entries:
        for name, transcribe in participants.items():
            seconds, text, segments = transcribe(SPEECH / entry["file"], entry["language"])
            mistakes, count = errors(entry["text"], text, entry["language"], entry["file"])
            taken[name] += seconds
            wrong[name] += mistakes
            found[name] += segments
        words += count
    return [
        Speed(
            case,
            name,
            round(taken[name], 3),
            round(taken[name], 3),
            round(taken[name], 3),
            1,
            round(100 * wrong[name] / words, 2),
            found[name],
        )
        for name in participants
    ]


def requests_per_second(times: int) -> float:
    """Clips of 7 s that the server answers, with eight clients, in a second."""
    print(f"{CLIENTS} clients …", flush=True)
    with serving() as server, ThreadPoolExecutor(CLIENTS) as pool:
        wait_until_ready(server)
        server.transcribe(SHORT)
        start = time.monotonic()
        list(pool.map(lambda _: server.transcribe(SHORT), range(times * CLIENTS)))
        return times * CLIENTS / (time.monotonic() - start)


def measure(*, warm: bool, quick: bool = False, peers: Sequence[str] = ()) -> list[Row]:
    """Measure everything; with ``warm`` the demo is not brought up to date first.

    ``quick`` takes fewer runs and a part of the long recording, and does without the demo.
    """
    if not (warm or quick):
        print("bringing up the demo …", flush=True)
        subprocess.run(["demo/up"], cwd=ROOT, check=True, capture_output=True)
    sys.path.insert(0, str(ROOT / "images"))
    runs = 3 if quick else 5
    transcripts = {entry["file"]: entry["text"] for entry in json.loads((SPEECH / "speech.json").read_text())}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        participants: dict[str, Transcribe] = {}
        pids: dict[str, int] = {}
        for name in LIBRARIES:
            participants[name], pids[name] = stack.enter_context(process(name))
        if not quick:
            participants[PUBLIC] = stack.enter_context(demo())
        for named in peers:
            name, _, url = named.partition("=")
            participants[name] = stack.enter_context(peer(url))

        def wrong(text: str) -> float:
            mistakes, words = errors(transcripts[SHORT], text, "en")
            return 100 * mistakes / words

        given = take_turns("7 s, language given", participants, SPEECH / SHORT, "en", runs, wrong)
        detected = take_turns("7 s, language detected", participants, SPEECH / SHORT, None, runs, wrong)
        eleven = take_turns("10 s, language given", participants, SPEECH / ELEVEN, "en", runs)
        with process(WHOLE) as (transcribe, _):
            known = all_recordings({**participants, WHOLE: transcribe}, quick=quick)
        long = Path(folder) / "long.wav"
        seconds = join(LONG_PARTS[:1] if quick else LONG_PARTS, long)
        for pid in pids.values():
            forget_peak(pid)
        lengthy = take_turns(f"{seconds:.0f} s", participants, long, "en", 1 if quick else 2, warm_up=False)
        memory = {name: peak_megabytes(pid) for name, pid in pids.items()}
        longer: list[Speed] = []
        if not quick:
            longer_seconds = join(LONGER_PARTS, long)
            forget_peak(pids[OURS])
            others = {name: transcribe for name, transcribe in participants.items() if name != SEQUENTIAL}
            longer = take_turns(f"{longer_seconds:.0f} s", others, long, "en", 1, warm_up=False)
            memory_longer = peak_megabytes(pids[OURS])
    speeds = [*given, *detected, *eleven, *known, *lengthy, *longer]
    if not quick:
        _save(speeds, memory, peers)

    errors_of = {speed.participant: speed.wrong for speed in known}
    together = requests_per_second(1 if quick else 3)
    alone = next(speed.seconds for speed in given if speed.participant == SEQUENTIAL)
    for speed in speeds:
        print(
            f"{speed.case:32} {speed.participant:40} {speed.seconds:7.3f} s ({speed.least:.3f}-{speed.most:.3f}) "
            + (f"{speed.wrong:6.2f} % wrong, " if speed.wrong >= 0 else "")
            + f"{speed.segments} segments"
        )
    rows = [
        below("7 s clip, language given: time relative to WhisperModel", ratio(given, SEQUENTIAL), "", 0.4),
        below("7 s clip, language detected: time relative to WhisperModel", ratio(detected, SEQUENTIAL), "", 0.35),
        above(f"{seconds:.0f} s: speedup over WhisperModel", 1 / ratio(lengthy, SEQUENTIAL), "", 4),
        above(f"{seconds:.0f} s: speedup over the library's batches", 1 / ratio(lengthy, BATCHED), "", 1.7),
        above(f"{seconds:.0f} s: speed relative to real time", seconds / lengthy[0].seconds, "", 0),
        below(f"peak memory during {seconds:.0f} s", memory[OURS], "MB", 800),
        above(f"{CLIENTS} clients: throughput relative to WhisperModel alone", together * alone, "", 2.5),
        below(
            "word error rate minus that with full windows, percentage points",
            errors_of[OURS] - errors_of[WHOLE],
            "",
            0.3,
        ),
    ]
    if quick:
        return rows
    over = f"{longer_seconds:.0f} s"
    return [
        *rows,
        above(f"{over}: speedup over the library's batches", 1 / ratio(longer, BATCHED), "", 1.7),
        below(f"peak memory during {over}", memory_longer, "MB", 800),
        below(
            "7 s clip over HTTPS, language given: time relative to WhisperModel",
            ratio(given, SEQUENTIAL, PUBLIC),
            "",
            0.4,
        ),
        below(
            "7 s clip over HTTPS, language detected: time relative to WhisperModel",
            ratio(detected, SEQUENTIAL, PUBLIC),
            "",
            0.35,
        ),
        above(f"{seconds:.0f} s over HTTPS: speedup over WhisperModel", 1 / ratio(lengthy, SEQUENTIAL, PUBLIC), "", 4),
    ]


def ratio(measured: list[Speed], name: str, ours: str = OURS) -> float:
    """Seconds of ours in terms of another's."""
    taken = {speed.participant: speed.seconds for speed in measured}
    return taken[ours] / taken[name]


def _save(speeds: list[Speed], memory: dict[str, float], peers: Sequence[str]) -> None:
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    )
    packages = ("faster-whisper", "ctranslate2", "openvino")
    content: dict[str, Any] = {
        "machine": f"{os.cpu_count()} x {model}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "command": " ".join(["make bench SUITE=speed", *(f"--peer {name}" for name in peers)]),
        "megabytes": {name: round(value) for name, value in memory.items()},
        "speeds": [asdict(speed) for speed in speeds],
    }
    (RESULTS / "speeds.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
