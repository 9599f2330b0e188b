"""The deployed demo, called as its users call it. `make test-api` sets the environment from .demo/env."""

import json
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from openai import DefaultHttpxClient, OpenAI

SPEECH = Path(__file__).parents[2] / ".cache/speech"
SERVICES = ("faster-whisper", "whisperx")

T = TypeVar("T")


@dataclass(frozen=True)
class Demo:
    """What .demo/env says. ``key`` may administer, as ``user`` may; ``client_key`` may not."""

    url: str
    whisperx_url: str
    user: str
    password: str
    key: str
    client_key: str
    ca_file: str
    container: str


@dataclass(frozen=True)
class Recording:
    """One entry of speech.json.

    ``seconds`` is the length; ``text`` the reference transcript, None where there is none.
    """

    path: Path
    language: str
    seconds: float
    text: str | None


@pytest.fixture(scope="session")
def demo() -> Demo:
    return Demo(
        url=os.environ["WHISPER_URL"],
        whisperx_url=os.environ["WHISPERX_URL"],
        user=os.environ["BASIC_USER"],
        password=os.environ["BASIC_PASSWORD"],
        key=os.environ["API_KEY"],
        client_key=os.environ["CLIENT_KEY"],
        ca_file=os.environ["CA_FILE"],
        container=os.environ["VPS_CONTAINER"],
    )


@pytest.fixture(scope="session")
def trust(demo: Demo) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=demo.ca_file)
    # What Python checks by default from 3.13 on.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.fixture
def anonymous(demo: Demo, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with httpx.Client(base_url=demo.url, verify=trust, timeout=120) as client:
        yield client


@pytest.fixture
def http(anonymous: httpx.Client, demo: Demo) -> httpx.Client:
    """A client with an API key."""
    anonymous.headers["Authorization"] = f"Bearer {demo.key}"
    return anonymous


@pytest.fixture(scope="session")
def services(demo: Demo, trust: ssl.SSLContext) -> Iterator[dict[str, httpx.Client]]:
    """Clients of the services, with an API key."""
    headers = {"Authorization": f"Bearer {demo.key}"}
    with (
        httpx.Client(base_url=demo.url, verify=trust, headers=headers, timeout=300) as faster_whisper,
        httpx.Client(base_url=demo.whisperx_url, verify=trust, headers=headers, timeout=300) as whisperx,
    ):
        yield dict(zip(SERVICES, (faster_whisper, whisperx), strict=True))


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, services: dict[str, httpx.Client]) -> httpx.Client:
    """A client of one of the services."""
    return services[request.param]


def at_once(services: dict[str, httpx.Client], ask: Callable[[httpx.Client], T]) -> dict[str, T]:
    """What each service answers; they work side by side."""
    with ThreadPoolExecutor(len(services)) as pool:
        return dict(zip(services, pool.map(ask, services.values()), strict=True))


@pytest.fixture
def on_the_server(demo: Demo) -> Callable[..., str]:
    """Runs a command on the server, and returns what it prints."""

    def run(*command: str) -> str:
        docker = ["docker", "exec", demo.container, *command]
        return subprocess.run(docker, capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture
def client(demo: Demo, trust: ssl.SSLContext) -> Iterator[OpenAI]:
    """OpenAI's own client, without retries: a first failure must be seen."""
    with OpenAI(
        base_url=f"{demo.url}/v1",
        api_key=demo.key,
        max_retries=0,
        http_client=DefaultHttpxClient(verify=trust, timeout=120),
    ) as client:
        yield client


@pytest.fixture(scope="session")
def recordings() -> list[Recording]:
    entries = json.loads((SPEECH / "speech.json").read_text())
    return [Recording(SPEECH / e["file"], e["language"], e["seconds"], e["text"]) for e in entries]


@pytest.fixture
def demo_spool(demo: Demo) -> list[str]:
    """Recordings that lie on the volume of the server: uploads, and those of jobs that are not finished."""
    inside = ["docker", "exec", demo.container, "docker", "exec", "faster-whisper"]
    command = [*inside, "find", "/data/spool", "/data/jobs", "-type", "f"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
