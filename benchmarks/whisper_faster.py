"""What the faster-whisper server adds to its engine, what it takes of memory and time, and whether it hears as well.

The server runs on this machine, from images/, with the models that `make models` laid out; what is compared was
measured in the same run. The library that recordings are held against is faster-whisper as its documentation calls it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.rows import Row, below, exactly
from testbed.word_error_rate import word_error_rate

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
SPEECH = CACHE / "speech"
MODEL = "Systran/faster-whisper-base"
URL = "/v1/audio/transcriptions"

SHORT = "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"  # 7.1 s
ELEVEN = "moonshine/beckett.wav"  # 10.0 s
LONG = "silero/aepyx.wav"  # 169 s
MEGABYTE = 1024**2

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT / 'images'}:{ROOT / 'images/whisper_faster'}:{ROOT / 'benchmarks/as_the_image'}",
    "HF_HOME": str(CACHE / "models"),
    "HF_HUB_OFFLINE": "1",
    "MALLOC_ARENA_MAX": "2",  # as the image sets it, and the next
    "OPENBLAS_NUM_THREADS": "1",
    "WHISPER__LOG_LEVEL": "warning",
}

# What makes the server faster than the library, and its words a little different (benchmarks/speed.py), turned off.
# With one thread there is one worker, whose random numbers are the library's.
AS_THE_LIBRARY = {
    "WHISPER__ENCODER": "ctranslate2",
    "WHISPER__SHORT_WINDOWS": "false",
    "WHISPER__BATCH_SIZE": "1",
    "WHISPER__CPU_THREADS": "1",
}


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], http: httpx.Client, started: float) -> None:
        self.process = process
        self.http = http
        self.started = started

    def transcribe(self, name: str, **form: str) -> httpx.Response:
        """Post a recording. Raises httpx.HTTPStatusError."""
        answer = self.http.post(URL, files={"file": (SPEECH / name).open("rb")}, data={"language": "en", **form})
        return answer.raise_for_status()

    def megabytes(self) -> float:
        """Memory that is the process's own, in MiB: without the files that it maps."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (resident,) = [line for line in lines if line.startswith("RssAnon:")]
        return int(resident.split()[1]) / 1024

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """Memory at the beginning and, when the context is left, the highest since, in MiB."""
        measured = [self.megabytes()] * 2
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                measured[1] = max(measured[1], self.megabytes())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield measured
        finally:
            done.set()
            watching.join()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(model: str = MODEL, **settings: str) -> Iterator[Server]:
    """A server, from the moment its process is started; `settings` are variables of its environment."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as data, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as http:
        environment = {**ENVIRONMENT, "WHISPER__MODEL": model, "WHISPER__DATA_FOLDER": data, **settings}
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "server:app",
            f"--port={port}",
            "--no-access-log",
            "--log-level=warning",
        ]
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, cwd=data)
        try:
            yield Server(process, http, started)
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(server: Server) -> float:
    """Seconds from the start of the process until the model is loaded."""
    while True:
        try:
            if server.http.get("/ready").status_code == 200:
                return time.monotonic() - server.started
        except httpx.TransportError:
            pass
        if server.process.poll() is not None:
            raise RuntimeError("the server ended before it was ready")
        time.sleep(0.01)


def start_rows() -> list[Row]:
    """Medians of three starts; the first is left out: it warms the file cache, and measures what the others know."""
    ready, first = [], []
    with tempfile.TemporaryDirectory() as data:
        for _ in range(4):
            with serving(WHISPER__DATA_FOLDER=data) as server:
                ready.append(wait_until_ready(server))
                server.transcribe(ELEVEN)
                first.append(time.monotonic() - server.started)
    return [
        below("process start to ready, base", statistics.median(ready[1:]), "s", 1.5),
        below("process start to the first response, 10 s clip", statistics.median(first[1:]), "s", 2.5),
    ]


def engine_seconds(engine: Any, name: str) -> float:
    """Seconds of the same engine's code in this process."""
    from whisper_server.speech.options import Options
    from whisper_server.work import inference

    start = time.monotonic()
    inference.transcribe(engine, SPEECH / name, Options(model=MODEL, language="en"), 10_000, lambda *_: None)
    return time.monotonic() - start


def overhead_rows(server: Server, engine: Any) -> list[Row]:
    """Pairs of a request and a call in the process, in turn, so that both meet the same noise."""

    def pairs(name: str, times: int) -> list[tuple[float, float, float]]:
        measured = []
        for _ in range(times + 1):
            start = time.monotonic()
            answer = server.transcribe(name)
            wall = time.monotonic() - start
            told = float(answer.headers["openai-processing-ms"]) / 1000
            measured.append((wall, told, engine_seconds(engine, name)))
        return measured[1:]

    short = pairs(SHORT, 10)
    long = pairs(LONG, 2)
    added = [1000 * (wall - told) for wall, told, _ in short]
    ratio = statistics.median(wall for wall, _, _ in long) / statistics.median(own for _, _, own in long)
    share = statistics.median((wall - told) / told for wall, told, _ in long)
    return [
        below("7 s clip: server overhead on top of inference, median", statistics.median(added), "ms", 30),
        below("169 s recording: server overhead on top of inference", 100 * share, "%", 3),
        below("169 s recording: response time minus that of an in-process library call", 100 * (ratio - 1), "%", 3),
    ]


def queue_rows(server: Server) -> list[Row]:
    """8 clips in parallel against one after the other, twice each in turn; then one more than the queue holds."""
    alone, together = [], []
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            start = time.monotonic()
            for _ in range(8):
                server.transcribe(SHORT)
            alone.append(time.monotonic() - start)
            start = time.monotonic()
            list(pool.map(lambda _: server.transcribe(SHORT), range(8)))
            together.append(time.monotonic() - start)
    with ThreadPoolExecutor(10) as pool:

        def post(_: int) -> int:
            audio = (SPEECH / LONG).read_bytes()
            return server.http.post(URL, files={"file": audio}, data={"language": "en"}).status_code

        running = pool.submit(post, 0)
        while server.http.get("/busy").json()["requests"] < 1:
            time.sleep(0.02)
        waiting = [pool.submit(lambda _: server.transcribe(SHORT).status_code, 0) for _ in range(8)]
        while server.http.get("/busy").json()["requests"] < 9:
            time.sleep(0.02)
        refused = server.http.post(URL, files={"file": (SPEECH / SHORT).read_bytes()})
        delays: list[float] = []
        while not running.done() and len(delays) < 600:
            start = time.monotonic()
            server.http.get("/health").raise_for_status()
            delays.append(1000 * (time.monotonic() - start))
            time.sleep(0.01)
        statuses = [running.result(), *(answer.result() for answer in waiting)]
    return [
        below(
            "8 parallel 7 s clips relative to 8 sequential ones",
            statistics.median(together) / statistics.median(alone),
            "",
            1.05,
        ),
        exactly("1 running and 8 queued requests: successful responses", statuses.count(200), "", 9),
        exactly("one request more than the queue holds: status", refused.status_code, "", 429),
        below(
            "/health while 169 s are transcribed and 8 requests are queued, p99",
            statistics.quantiles(delays, n=100)[98],
            "ms",
            50,
        ),
    ]


def upload_row(server: Server) -> Row:
    """Growth of the server while it takes 500 MB that are refused as no audio, which is before decoding."""

    def parts() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
        for _ in range(499):
            yield bytes(MEGABYTE)
        yield b"\r\n--b--\r\n"

    with server.watched() as measured:
        answer = server.http.post(URL, content=parts(), headers={"content-type": "multipart/form-data; boundary=b"})
    if answer.status_code != 415:
        raise RuntimeError(f"500 MB of zeros were answered {answer.status_code}: {answer.text}")
    return below("500 MB upload: memory increase before decoding", measured[1] - measured[0], "MB", 64)


def growth_row(server: Server) -> Row:
    """Memory after 200 mixed requests over that after 20: clips, formats, streams, errors."""
    requests: list[Callable[[], object]] = [
        lambda: server.transcribe("librivox/sense_and_sensibility_01_austen_64kb-0880.wav"),
        lambda: server.transcribe("audioeval/en/hello_world.wav", response_format="verbose_json"),
        lambda: server.transcribe("audioeval/en/quick_brown_fox.wav", stream="true"),
        lambda: server.http.post(URL, files={"file": b"no audio" * 1000}),
        lambda: server.http.get("/v1/models"),
    ]
    for number in range(20):
        requests[number % len(requests)]()
    after_20 = server.megabytes()
    for number in range(20, 200):
        requests[number % len(requests)]()
        if number % 50 == 0:
            print(f"  {number} of 200 mixed requests", flush=True)
    return below(
        "memory after 200 mixed requests relative to after 20 (leak check)", server.megabytes() / after_20, "", 1.1
    )


def accuracy_rows(server: Server) -> list[Row]:
    """Word error rates of server and library, file by file, where there is a transcript, and how often they differ.

    The server must not have transcribed anything: where a text is implausible both draw another at random, and they
    draw the same as long as both began with the same seed and heard the same before.
    """
    import ctranslate2
    from faster_whisper import WhisperModel

    from whisper_server.engines.whisper.whisper_models import SEED

    ctranslate2.set_random_seed(SEED)
    (snapshot,) = (CACHE / "models/hub/models--Systran--faster-whisper-base/snapshots").iterdir()
    library = WhisperModel(str(snapshot), device="cpu", compute_type="int8", cpu_threads=1)
    entries = [entry for entry in json.loads((SPEECH / "speech.json").read_text()) if entry["language"]]
    rows, differing = [], 0
    for entry in entries:
        segments, _ = library.transcribe(str(SPEECH / entry["file"]), language=entry["language"], vad_filter=True)
        theirs = "".join(segment.text for segment in segments).strip()
        ours = server.transcribe(entry["file"], language=entry["language"]).json()["text"]
        differing += ours != theirs
        if entry["text"]:
            expected = round(word_error_rate(entry["text"], theirs), 4)
            rate = round(word_error_rate(entry["text"], ours), 4)
            rows.append(exactly(f"word error rate, {entry['file']}, library's", rate, "", expected))
    return [
        *rows,
        exactly(f"transcripts of {len(entries)} recordings that differ from the library's", differing, "", 0),
    ]


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; ``warm`` changes nothing here: nothing takes longer than some minutes."""
    del warm
    sys.path.insert(0, str(ROOT / "images"))
    os.environ.update({"HF_HOME": ENVIRONMENT["HF_HOME"], "HF_HUB_OFFLINE": "1"})
    from whisper_server.engines.whisper.engine import FasterWhisperEngine
    from whisper_server.process.settings import Settings

    def told(part: str) -> None:
        print(f"{part} …", flush=True)

    told("starts")
    rows = start_rows()
    with serving() as server:
        wait_until_ready(server)
        server.transcribe(SHORT)
        told("500 MB")
        rows.append(upload_row(server))
        told("200 mixed requests")
        rows.append(growth_row(server))
        told("queue")
        rows += queue_rows(server)
        told("the server's own cost")
        engine = FasterWhisperEngine(Settings(model=MODEL))
        engine.load(MODEL)
        rows += overhead_rows(server, engine)
    with serving(**AS_THE_LIBRARY) as server:
        wait_until_ready(server)
        told("accuracy")
        rows += accuracy_rows(server)
    return rows
