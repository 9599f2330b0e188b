"""A WhisperX server with the real pipeline, called as its users call it.

WHISPERX_URL is its address; with WHISPERX_KEY requests carry an API key; CA_FILE is the authority behind its
certificate.
"""

import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from openai import DefaultHttpxClient, OpenAI

SPEECH = Path(__file__).parents[2] / ".cache/speech"


@dataclass(frozen=True)
class Recording:
    """One entry of speech.json; `seconds` is the length, `text` None where nobody wrote down what is said."""

    path: Path
    language: str | None
    seconds: float
    text: str | None


@pytest.fixture(scope="session")
def url() -> str:
    return os.environ["WHISPERX_URL"]


@pytest.fixture(scope="session")
def headers() -> dict[str, str]:
    key = os.environ.get("WHISPERX_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


@pytest.fixture(scope="session")
def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("CA_FILE"))


@pytest.fixture(scope="session")
def http(url: str, headers: dict[str, str], trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers=headers, verify=trust, timeout=300) as client:
        yield client


@pytest.fixture
def client(url: str, trust: ssl.SSLContext) -> Iterator[OpenAI]:
    """OpenAI's own client, without retries: a first failure must be seen."""
    with OpenAI(
        base_url=f"{url}/v1",
        api_key=os.environ.get("WHISPERX_KEY", "unused"),
        max_retries=0,
        http_client=DefaultHttpxClient(verify=trust, timeout=300),
    ) as client:
        yield client


@pytest.fixture(scope="session")
def recordings() -> dict[str, Recording]:
    """The recordings by file."""
    entries = json.loads((SPEECH / "speech.json").read_text())
    return {e["file"]: Recording(SPEECH / e["file"], e["language"], e["seconds"], e["text"]) for e in entries}
