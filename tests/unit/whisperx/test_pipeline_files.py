"""Why speakers cannot be told apart: huggingface_hub itself, against a server that answers as the hub does.

Source: the status codes and `X-Error-Code` headers that huggingface_hub's `hf_raise_for_status` reads.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from whisper_server.engines.whisperx.pipeline_files import PipelineFiles
from whisper_server.speech.errors import DiarizationUnavailable

ROOT = Path(__file__).parents[3]
PIPELINE = "pyannote/speaker-diarization-community-1"
SEGMENTATION = "pyannote/segmentation-3.0"
COMMIT = "a" * 40
TOKEN = "hf_secret"
CONFIG = "pipeline:\n  name: pyannote.audio.pipelines.SpeakerDiarization\n  params:\n    segmentation: "

# In a process of its own: huggingface_hub reads its environment when it is first imported.
CHECK = """
import json, sys
from whisper_server.speech.errors import DiarizationUnavailable
from whisper_server.engines.whisperx.pipeline_files import PipelineFiles
try:
    print(json.dumps([sorted(path.name for path in PipelineFiles(sys.argv[1]).folder().iterdir()), None]))
except DiarizationUnavailable as error:
    print(json.dumps([str(error), error.retry_after]))
assert "torch" not in sys.modules
"""


@dataclass
class Hub:
    """Repositories by id, each with its `config.yaml`; those in `accepted` let the owner of TOKEN in."""

    endpoint: str = ""
    repositories: dict[str, str] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub(repositories={PIPELINE: CONFIG + "$model/segmentation"}, accepted={PIPELINE})

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            parts = self.path.partition("?")[0].removeprefix("/api/models").strip("/").split("/")
            name = "/".join(parts[:2])
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            if token and token != TOKEN:
                return self._send(401, b"{}", {"x-error-message": "Invalid credentials in Authorization header"})
            if name not in hub.repositories:
                return self._send(404 if token else 401, b"{}", {"x-error-code": "RepoNotFound"})
            is_listing = self.path.startswith("/api/models")
            if not is_listing and (not token or name not in hub.accepted):
                return self._send(403 if token else 401, b"{}", {"x-error-code": "GatedRepo"})
            config = hub.repositories[name].encode()
            if is_listing and "tree" in parts:
                listing = [{"type": "file", "path": "config.yaml", "size": len(config), "oid": "c" * 40}]
                return self._send(200, json.dumps(listing).encode(), {})
            if is_listing:
                info = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": "config.yaml"}]}
                return self._send(200, json.dumps(info).encode(), {})
            return self._send(200, config, {"x-repo-commit": COMMIT, "etag": f'"{name}"'})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def check(home: Path, endpoint: str, token: str | None, **environment: str) -> tuple[list[str] | str, int | None]:
    """What the server with that token finds: the files' names, or why there are none and when to try again."""
    secret = home / "hf_token"
    if token is not None:
        secret.write_text(f"{token}\n")
    variables = {
        **{name: value for name, value in os.environ.items() if name != "HF_TOKEN"},
        "PYTHONPATH": str(ROOT / "images"),
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_TOKEN_PATH": str(secret),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", CHECK, PIPELINE], env=variables, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    outcome, retry_after = json.loads(done.stdout)
    return outcome, retry_after


def test_a_token_that_may(hub: Hub, tmp_path: Path) -> None:
    assert check(tmp_path, hub.endpoint, TOKEN) == (["config.yaml"], None)


def test_what_was_fetched_once_needs_neither_hub_nor_token(hub: Hub, tmp_path: Path) -> None:
    check(tmp_path, hub.endpoint, TOKEN)
    (tmp_path / "hf_token").unlink()
    assert check(tmp_path, "http://127.0.0.1:9", None) == (["config.yaml"], None)


def test_no_token(hub: Hub, tmp_path: Path) -> None:
    message, retry_after = check(tmp_path, hub.endpoint, None)
    assert "needs a Hugging Face token, and the server has none" in message
    assert f"https://huggingface.co/{PIPELINE}" in message
    assert retry_after is None


def test_a_token_in_the_environment(hub: Hub, tmp_path: Path) -> None:
    assert check(tmp_path, hub.endpoint, None, HF_TOKEN=TOKEN) == (["config.yaml"], None)


def test_a_wrong_token(hub: Hub, tmp_path: Path) -> None:
    message, _ = check(tmp_path, hub.endpoint, "hf_expired")
    assert "does not accept the server's token" in message
    assert "https://huggingface.co/settings/tokens" in message


def test_conditions_that_were_not_accepted(hub: Hub, tmp_path: Path) -> None:
    hub.accepted.clear()
    message, _ = check(tmp_path, hub.endpoint, TOKEN)
    assert "has not accepted the conditions" in message
    assert f"https://huggingface.co/{PIPELINE}" in message


def test_conditions_of_a_model_that_the_pipeline_uses(hub: Hub, tmp_path: Path) -> None:
    hub.repositories = {PIPELINE: CONFIG + SEGMENTATION, SEGMENTATION: "{}"}
    message, _ = check(tmp_path, hub.endpoint, TOKEN)
    assert f"Accept them at https://huggingface.co/{SEGMENTATION}" in message


def test_a_pipeline_that_does_not_exist(hub: Hub, tmp_path: Path) -> None:
    hub.repositories.clear()
    message, _ = check(tmp_path, hub.endpoint, TOKEN)
    assert f"There is no {PIPELINE}" in message


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    message, retry_after = check(tmp_path, "http://127.0.0.1:9", TOKEN)
    assert "cannot be reached" in message
    assert retry_after == 60


def test_offline(hub: Hub, tmp_path: Path) -> None:
    message, _ = check(tmp_path, hub.endpoint, TOKEN, HF_HUB_OFFLINE="1")
    assert "cannot be reached" in message


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + "$model/segmentation")
    assert PipelineFiles(str(tmp_path)).folder() == tmp_path


@pytest.mark.parametrize("content", ["", "pipeline: 3", "pipeline: {}", "{", "- a list", None, "\0"])
def test_a_broken_folder(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(DiarizationUnavailable, match=r"broken: its config\.yaml"):
        PipelineFiles(str(tmp_path)).folder()


def test_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    files = PipelineFiles(str(folder))
    with pytest.raises(DiarizationUnavailable, match="which does not exist") as refusal:
        files.folder()
    assert str(tmp_path) not in str(refusal.value)
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG + "$model/segmentation")
    assert files.folder() == folder
