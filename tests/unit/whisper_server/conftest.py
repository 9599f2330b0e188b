"""The application on a real socket, with an engine that tests script."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from whisper_server.http.app import create_app
from whisper_server.process import startup
from whisper_server.process.settings import Settings


@contextmanager
def serving(engine: ScriptedEngine, settings: Settings, app: FastAPI | None = None) -> Iterator[httpx.Client]:
    startup.prepare(settings)
    app = app or create_app(engine, settings, title="test")
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        engine.go.set()
        server.should_exit = True
        thread.join()


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path)


@pytest.fixture
def http(engine: ScriptedEngine, settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server with the fixtures' engine and settings, which test modules may override."""
    with serving(engine, settings) as client:
        yield client


@pytest.fixture
def spooled(settings: Settings) -> Callable[[], list[str]]:
    """The files that this process holds open in, and that lie in, the folder for uploads."""
    spool = settings.data_folder / "spool"

    def look() -> list[str]:
        opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]  # noqa: PTH115
        return sorted({*(path for path in opened if path.startswith(str(spool))), *map(str, spool.iterdir())})

    return look


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true within half a minute; a busy machine is slow, not wrong."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
