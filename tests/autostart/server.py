"""The server on which the tests run, asked as its clients and its operator do.

It is the demo's or that of Molecule's scenario `autostart`; the environment says which (`tests/autostart/run`).
"""

import json
import os
import re
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from testinfra.host import Host

URL = os.environ["WHISPER_URL"]
NAME = str(urlsplit(URL).hostname)
PORT = urlsplit(URL).port or 443
KEY = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
AUTHORITY = os.environ["CA_FILE"]
CONTAINER = os.environ["VPS_CONTAINER"]
IDLE_TIMEOUT = float(os.environ["IDLE_TIMEOUT"])
"""That the server was deployed with, in seconds."""

CONFIGURATION = "/opt/docker-autostart/config.json"
SPEECH = Path(__file__).parents[2] / ".cache/speech"
CLIP = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
CLIP_TEXT = "leisure to consider"


def get(path: str = "/v1/models", **headers: str) -> requests.Response:
    return requests.get(URL + path, headers=KEY | headers, verify=AUTHORITY, timeout=120)


def transcribe(recording: Path, **headers: str) -> requests.Response:
    with recording.open("rb") as file:
        return requests.post(
            f"{URL}/v1/audio/transcriptions",
            headers=KEY | headers,
            files={"file": file},
            data={"model": "whisper-1", "language": "en"},
            verify=AUTHORITY,
            timeout=600,
        )


def services(host: Host) -> list[dict[str, Any]]:
    """What the daemon says of all services: there may be others beside faster-whisper."""
    answer: dict[str, list[dict[str, Any]]] = json.loads(host.check_output("docker-autostart status --json"))
    return answer["services"]


def status(host: Host) -> dict[str, Any]:
    """What the daemon says of faster-whisper."""
    (service,) = [service for service in services(host) if service["host"] == NAME]
    return service


def container(host: Host) -> dict[str, Any]:
    """State of the container, as the engine says."""
    state: dict[str, Any] = json.loads(host.check_output("docker container inspect faster-whisper"))[0]["State"]
    return state


def events(host: Host) -> list[str]:
    """What the daemon logged about faster-whisper since the server's boot, oldest first, without its name."""
    journal = host.check_output("journalctl --boot --unit docker-autostart --output cat")
    return re.findall(rf"^{re.escape(NAME)}: (.*)", journal, re.MULTILINE)


def starts(host: Host) -> int:
    """How often the daemon started faster-whisper since the server's boot."""
    return sum(event.startswith("starting, ") for event in events(host))


def jobs_and_requests(host: Host) -> int:
    """What the container has to do, asked past the daemon."""
    busy: int = json.loads(host.check_output("curl --silent --fail http://127.0.0.1:8001/busy"))["busy"]
    return busy


def repeat(recording: Path, times: int, folder: Path) -> Path:
    """The recording, so many times over, as a file in ``folder``."""
    repeated = folder / f"{times}.wav"
    with wave.open(str(recording), "rb") as source, wave.open(str(repeated), "wb") as joined:
        joined.setparams(source.getparams())
        frames = source.readframes(source.getnframes())
        for _ in range(times):
            joined.writeframes(frames)
    return repeated


def put_to_sleep(host: Host) -> None:
    assert host.check_output("docker-autostart stop faster-whisper") == f"{NAME}: stopped"
    assert not container(host)["Running"]


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Return the seconds until ``condition`` held, or fail."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not so within {seconds} s"
        time.sleep(0.25)
    return time.monotonic() - start
