"""The WhisperX server and other programs in containers of its image, on this machine."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
IMAGE = os.environ.get("WHISPERX_IMAGE", "whisper-services/whisperx:test")
NAME = os.environ.get("WHISPERX_CONTAINER", "whisper-services-whisperx-bench")
PORT = os.environ.get("WHISPERX_PORT", "18003")
ALIGN_MODEL = "VOXPOPULI_ASR_BASE_10K_FR"


def run(*command: str, **environment: str) -> str:
    """Standard output of a command. Raises subprocess.CalledProcessError, after what it said was printed."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
    done.check_returncode()
    return done.stdout


class Server:
    """The server in its container."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def transcribe(self, audio: bytes, **form: str) -> dict[str, Any]:
        """Post a recording. Raises httpx.HTTPStatusError."""
        answer = self._http.post("/transcribe", files={"file": audio}, data={"language": "en", **form})
        body: dict[str, Any] = answer.raise_for_status().json()
        return body

    def text(self, audio: bytes, **form: str) -> str:
        return " ".join(segment["text"] for segment in self.transcribe(audio, **form)["segments"])

    def seconds(self, audio: bytes, **form: str) -> float:
        start = time.monotonic()
        self.transcribe(audio, **form)
        return time.monotonic() - start

    def restart(self) -> float:
        """Start the container anew; return the seconds until it is ready."""
        run("docker", "stop", NAME)
        start = time.monotonic()
        run("docker", "start", NAME)
        while True:
            try:
                if self._http.get("/ready").status_code == 200:
                    return time.monotonic() - start
            except httpx.TransportError:
                pass
            if time.monotonic() - start > 120:
                raise RuntimeError("the server is not ready after two minutes")
            time.sleep(0.02)

    def megabytes(self) -> tuple[float, float]:
        """Resident memory of the process, files that it maps included, and the most that it was, in MB."""
        status = run("docker", "exec", NAME, "cat", "/proc/1/status")
        now, most = (re.search(rf"{field}:\s+(\d+) kB", status) for field in ("VmRSS", "VmHWM"))
        if now is None or most is None:
            raise RuntimeError(f"the status of the server's process lacks its memory: {status}")
        return int(now[1]) * 1024 / 1e6, int(most[1]) * 1024 / 1e6


@contextmanager
def serving() -> Iterator[Server]:
    names = {"WHISPERX_CONTAINER": NAME, "WHISPERX_PORT": PORT}
    run(
        "testbed/whisperx",
        "up",
        "--env",
        f"WHISPER__ALIGN_MODELS=en={ALIGN_MODEL}",
        "--env",
        "WHISPER__TTL=-1",
        **names,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=3600) as http:
            yield Server(http)
    finally:
        run("testbed/whisperx", "down", **names)


def in_the_image(folder: Path, command: str, *options: str, stdin: Path | None = None) -> str:
    """Standard output of a shell's command in a container of the image, with the models and a folder at `/bench`."""
    models = CACHE / "models"
    with (stdin or Path(os.devnull)).open("rb") as given:
        done = subprocess.run(
            [
                *(
                    "docker",
                    "run",
                    "--rm",
                    "--interactive",
                    "--name",
                    f"{NAME}-other",
                    "--user",
                    f"{os.getuid()}:{os.getgid()}",
                ),
                *("--volume", f"{models.resolve()}:/cache/huggingface:ro", "--volume", f"{folder}:/bench"),
                *("--volume", f"{CACHE / 'alignment'}:/alignment:ro", "--env", "TORCH_HOME=/alignment/torch"),
                *("--env", "HF_HUB_OFFLINE=1", *options, IMAGE, "sh", "-euc", command),
            ],
            stdin=given,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
    done.check_returncode()
    return done.stdout
