"""Hubs that break off, answer nonsense or are not there: each is an error that a client understands."""

import errno
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.utils._validators import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from whisper_server.engines.whisper import models
from whisper_server.engines.whisper.models import ModelCache
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import ModelNotFound, ModelUnavailable, NoSpace, SpeechError

MODEL = "some/model"
COMMIT = "0123456789012345678901234567890123456789"
NAMES = ("model.bin", "config.json", "tokenizer.json")
SIZE = 1000


class Hub(ThreadingHTTPServer):
    """Has one model, and fails as `failure` says."""

    failure = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        if not path.startswith("/api/"):
            self._file(path.rpartition("/")[2])
        elif self.server.failure == "nonsense":
            self._body(b"<html>", 6, {"content-type": "application/json"})
        elif "/tree/" in path:
            self._json([{"type": "file", "path": name, "size": SIZE, "oid": name} for name in NAMES])
        else:
            siblings = [{"rfilename": name, "size": SIZE} for name in NAMES]
            self._json({"id": MODEL, "sha": COMMIT, "siblings": siblings})

    def _json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self._body(body, len(body), {"content-type": "application/json"})

    def _file(self, name: str) -> None:
        sent = SIZE // 2 if self.server.failure == "cut" else SIZE
        self._body(bytes(sent), SIZE, {"x-repo-commit": COMMIT, "etag": f'"{name}"'})

    def _body(self, body: bytes, length: int, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "content-length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever)
    thread.start()
    original = huggingface_hub.snapshot_download

    def from_here(model: str, **options: Any) -> Any:
        endpoint = f"http://127.0.0.1:{hub.server_port}"
        return original(model, endpoint=endpoint, cache_dir=tmp_path, etag_timeout=5, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", from_here)
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "_SPARED_BYTES", 0)
    yield hub
    hub.shutdown()
    thread.join()
    hub.server_close()


def fetch(model: str = MODEL) -> ModelCache:
    cache = ModelCache(Settings(model=model))
    cache.fetch(model, lambda _: None)
    return cache


@pytest.mark.usefixtures("hub")
def test_a_whole_download() -> None:
    assert {path.name for path in fetch().folder(MODEL).iterdir()} == set(NAMES)


@pytest.mark.parametrize("failure", ["cut", "nonsense"])
def test_a_download_that_breaks_off_is_tried_again(hub: Hub, failure: str) -> None:
    hub.failure = failure
    with pytest.raises(ModelUnavailable, match=f"{MODEL}.*[Tt]ry again") as told:
        fetch()
    assert told.value.retry_after == 30
    hub.failure = ""
    assert fetch().folder(MODEL).is_dir()


@pytest.mark.usefixtures("hub")
class TestWhatTheClientOfTheHubRaises:
    @pytest.fixture(params=["before", "while"])
    def raising(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Makes `snapshot_download` raise when it lists the files, or when it fetches them."""
        original = huggingface_hub.snapshot_download

        def set_up(error: Exception) -> None:
            def fail(model: str, **options: Any) -> Any:
                if options.get("dry_run", False) == (request.param == "before"):
                    raise error
                return original(model, **options)

            monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)

        return set_up

    def test_errors_of_its_parts(self, raising: Any) -> None:
        import httpx
        from huggingface_hub.errors import XetDownloadError

        for error in (
            httpx.ReadTimeout("the read timed out"),
            httpx.RemoteProtocolError("peer closed connection"),
            XetDownloadError("CAS"),
            RuntimeError("hf_xet"),
            OSError("consistency check failed"),
        ):
            raising(error)
            with pytest.raises(ModelUnavailable):
                fetch()

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_disk_that_is_full_in_the_end(self, raising: Any, number: int) -> None:
        raising(OSError(number, "No space left on device"))
        with pytest.raises(NoSpace, match=MODEL):
            fetch()

    def test_a_name_that_it_refuses(self, raising: Any) -> None:
        raising(huggingface_hub.errors.HFValidationError("Cannot have -- or .."))
        with pytest.raises(ModelNotFound, match=MODEL):
            fetch()


@pytest.mark.usefixtures("hub")
def test_a_disk_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_SPARED_BYTES", shutil.disk_usage("/").total)
    with pytest.raises(NoSpace, match=MODEL):
        fetch()


@pytest.mark.parametrize("name", ["o/a--b", "o/a..b", "o/a.git", "o--p/a", "o/a-", "o/a.", "o./a", f"o/{'a' * 97}"])
def test_what_the_hub_can_have_no_model_of(name: str) -> None:
    with pytest.raises(ModelNotFound):
        ModelCache(Settings(allowed_models=["*"])).resolve(name)


@given(st.from_regex(r"[ab][ab_.g-]{0,6}(\.git)?/[ab][ab_.git-]{0,98}", fullmatch=True))
def test_what_may_be_fetched_is_an_id_to_the_hub_s_client(name: str) -> None:
    try:
        model = ModelCache(Settings(allowed_models=["*"])).resolve(name)
    except SpeechError:
        return
    validate_repo_id(model)
