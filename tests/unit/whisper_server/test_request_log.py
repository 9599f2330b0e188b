import io
import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO

URL = "/v1/audio/transcriptions"
FILE = {"file": ("secret-name.mp3", AUDIO)}


Lines = Callable[[int], list[dict[str, Any]]]


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output as the server finds it when it starts; pytest's own changes with the phases of a test."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


@pytest.fixture
def http(stdout: io.StringIO, http: httpx.Client) -> httpx.Client:
    assert stdout is not None
    return http


@pytest.fixture
def lines(http: httpx.Client, stdout: io.StringIO) -> Lines:
    """The lines of so many requests, and of no more; a line is written after its answer, so they are waited for.

    One more request, which the fixture makes itself, shows that even none were waited for long enough.
    """

    def read(count: int) -> list[dict[str, Any]]:
        http.head("/last")

        def written() -> list[dict[str, Any]]:
            parsed = [json.loads(line) for line in stdout.getvalue().splitlines()]
            return [line for line in parsed if line["event"] == "request"]

        assert eventually(lambda: len(written()) > count)
        return [line for line in written() if line["method"] != "HEAD"]

    return read


def test_one_line_a_request_without_what_was_said(http: httpx.Client, lines: Lines) -> None:
    answer = http.post(
        f"{URL}?key=hidden", files=FILE, data={"prompt": "hush"}, headers={"authorization": "Bearer token"}
    )
    (line,) = lines(1)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["route"], line["status"], line["model"]) == ("POST", URL, 200, MODEL)
    assert line["audio_seconds"] == 2.0
    assert line["real_time_factor"] > 0
    assert line["wall_seconds"] >= line["engine_seconds"] >= 0
    text = json.dumps(line)
    assert not any(word in text for word in ("morning", "hush", "token", "hidden", "secret-name"))


def test_the_proxy_s_request_id_is_kept_when_it_is_one(http: httpx.Client) -> None:
    assert http.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert http.get("/health", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"
    assert len(http.get("/health", headers={"x-request-id": "x" * 1000}).headers["x-request-id"]) == 32


def test_an_unforeseen_error_is_logged_with_its_traceback(
    http: httpx.Client, engine: ScriptedEngine, lines: Lines
) -> None:
    engine.failure = ZeroDivisionError("a bug")
    http.post(URL, files=FILE)
    (line,) = lines(1)
    assert (line["level"], line["status"]) == ("error", 500)
    assert "ZeroDivisionError: a bug" in line["traceback"]


def test_unknown_paths_are_not_repeated(http: httpx.Client, lines: Lines) -> None:
    http.put("/whatever/the/client/likes")
    (line,) = lines(1)
    assert (line["method"], line["route"]) == ("PUT", None)


def test_probes_are_silent_while_all_is_well(http: httpx.Client, lines: Lines) -> None:
    http.get("/health")
    assert lines(0) == []
