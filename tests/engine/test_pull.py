"""Fetching a model from a hub: huggingface_hub itself, against a server of this test that answers as the hub does.

Source: the requests of huggingface_hub (`/api/models/{id}/revision/main`, `/api/models/{id}/tree/…`, HEAD and GET of
`/{id}/resolve/{revision}/{file}` with the headers X-Repo-Commit, ETag and X-Linked-Size).
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TINY = "Systran/faster-whisper-tiny.en"
COMMIT = "a" * 40

# In a process of its own: huggingface_hub reads its environment when it is first imported.
PULL = """
import json, sys
from whisper_server.speech.errors import SpeechError
from whisper_server.process.settings import Settings
from whisper_server.engines.whisper.models import ModelCache
cache = ModelCache(Settings(model="base", allowed_models=["Systran/*"]))
told = []
try:
    cache.fetch(sys.argv[1], lambda download: told.append([download.completed, download.total]))
    outcome = sorted(path.name for path in cache.folder(sys.argv[1]).iterdir())
    cache.delete(sys.argv[1])
    left = [model.id for model in cache.present()]
except SpeechError as error:
    outcome, left = [type(error).__name__, str(error)], None
print(json.dumps({"told": told, "outcome": outcome, "left": left}))
"""


@pytest.fixture
def endpoint(hub: Path) -> Iterator[str]:
    """A hub that has one model."""
    (snapshot,) = (hub / "models--Systran--faster-whisper-tiny.en" / "snapshots").iterdir()
    sizes = {path.name: path.stat().st_size for path in snapshot.iterdir()}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            if TINY not in path:
                return self._json(404, {"error": "Repository not found"}, {"x-error-code": "RepoNotFound"})
            if path.startswith(f"/api/models/{TINY}/tree/"):
                return self._json(200, [{"type": "file", "path": n, "size": s, "oid": n} for n, s in sizes.items()], {})
            if path.startswith("/api/models/"):
                siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
                return self._json(200, {"id": TINY, "sha": COMMIT, "siblings": siblings}, {})
            return self._file(path.rpartition("/")[2])

        def _json(self, status: int, content: Any, headers: dict[str, str]) -> None:
            body = json.dumps(content).encode()
            self._head(status, len(body), {**headers, "content-type": "application/json"})
            if self.command == "GET":
                self.wfile.write(body)

        def _file(self, name: str) -> None:
            self._head(200, sizes[name], {"x-repo-commit": COMMIT, "etag": f'"{name}"'})
            if self.command == "GET":
                with (snapshot / name).open("rb") as file:
                    while part := file.read(1 << 20):
                        self.wfile.write(part)
                        threading.Event().wait(0.01)

        def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(length)}.items():
                self.send_header(name, value)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def pull(model: str, home: Path, endpoint: str, **environment: str) -> dict[str, Any]:
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "images"),
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **environment,
    }
    command = [sys.executable, "-c", PULL, model]
    done = subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True, check=True, timeout=60)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_model_comes_with_progress_and_goes(endpoint: str, tmp_path: Path) -> None:
    result = pull(TINY, tmp_path, endpoint)
    assert {"model.bin", "config.json", "tokenizer.json"} <= set(result["outcome"])
    told = result["told"]
    total = told[-1][1]
    assert total > 75_000_000
    assert told == sorted(told)
    assert told[-1] == [total, total]
    assert any(0 < completed < total for completed, _ in told)
    assert result["left"] == []


def test_a_model_that_the_hub_does_not_have(endpoint: str, tmp_path: Path) -> None:
    kind, message = pull("Systran/none", tmp_path, endpoint)["outcome"]
    assert kind == "ModelNotFound"
    assert "Systran/none" in message


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    kind, message = pull(TINY, tmp_path, "http://127.0.0.1:9")["outcome"]
    assert kind == "ModelUnavailable"
    assert "cannot be reached" in message


def test_offline_the_hub_is_not_even_asked(endpoint: str, tmp_path: Path) -> None:
    kind, _ = pull(TINY, tmp_path, endpoint, HF_HUB_OFFLINE="1")["outcome"]
    assert kind == "ModelUnavailable"
