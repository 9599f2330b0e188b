"""Cold requests to the demo: from a service that is asleep to the answer, and where the time goes."""

import statistics
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime

import requests

from benchmarks.rows import Row, below
from demo.transcribe import RECORDING


@dataclass(frozen=True)
class Wake:
    """Seconds of one cold request, in the order in which they pass."""

    container: float
    imports: float
    load: float
    inference: float
    total: float


def cold_request(env: dict[str, str], container: str, url: str) -> tuple[float, float]:
    """Put one of the demo's services to sleep, and send it a clip of 7 s: when (Unix time), and the seconds it took."""
    command = ["docker", "exec", env["VPS_CONTAINER"], "docker-autostart", "stop", container]
    subprocess.run(command, check=True, capture_output=True)
    began = time.time()
    with RECORDING.open("rb") as file:
        answer = requests.post(
            f"{url}/v1/audio/transcriptions",
            headers={"Authorization": f"Bearer {env['API_KEY']}"},
            files={"file": file},
            data={"model": "whisper-1", "language": "en"},
            verify=env["CA_FILE"],
            timeout=60,
        )
    total = time.time() - began
    answer.raise_for_status()
    return began, total


def wake_the_demo(env: dict[str, str]) -> Wake:
    """One cold request to faster-whisper, and from its container's log where the time went."""
    inside = ["docker", "exec", env["VPS_CONTAINER"]]
    began, total = cold_request(env, "faster-whisper", env["WHISPER_URL"])
    inspect = [*inside, "docker", "container", "inspect", "--format", "{{.State.StartedAt}}", "faster-whisper"]
    started = _timestamp(subprocess.run(inspect, check=True, capture_output=True, text=True).stdout)
    logs = subprocess.run(
        [*inside, "docker", "logs", "--timestamps", "--since", str(int(began)), "faster-whisper"],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout.splitlines()

    def logged(words: str) -> float:
        return next(when for line in logs if words in line and (when := _timestamp(line)) >= started)

    serving, loaded = logged("Application startup complete"), logged("loaded ")
    return Wake(started - began, serving - started, loaded - serving, total - (loaded - began), total)


def _timestamp(line: str) -> float:
    """Unix time of a line that begins with one of the engine's, which have nanoseconds."""
    moment, _, fraction = line.split()[0].rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{moment}+00:00").timestamp() + float(f"0.{fraction or 0}")


def asleep_to_answer(env: dict[str, str]) -> list[Row]:
    """The median of five cold requests to each service, and the parts of faster-whisper's."""
    wakes = sorted((wake_the_demo(env) for _ in range(5)), key=lambda wake: wake.total)
    median = wakes[len(wakes) // 2]
    whisperx = statistics.median(cold_request(env, "whisperx", env["WHISPERX_URL"])[1] for _ in range(5))
    return [
        below("cold start: 7 s clip, WhisperX, median of 5", whisperx, "s", 8),
        below("cold start: 7 s clip, faster-whisper, median of 5", median.total, "s", 5),
        below("of which: Docker starts the container", median.container, "s", 5),
        below("of which: Python imports, until the server listens", median.imports, "s", 5),
        below("of which: the model is loaded", median.load, "s", 5),
        below("of which: inference and response", median.inference, "s", 5),
    ]
