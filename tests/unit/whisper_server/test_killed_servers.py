"""Jobs whose server is killed in the middle of a stage, as the kernel does it when memory runs out."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import httpx
import pytest

from tests.unit.whisper_server.conftest import eventually
from tests.unit.whisper_server.test_jobs import finished, job, submit
from whisper_server.speech.engine import Stage

ROOT = Path(__file__).parents[3]


@contextmanager
def killed_at_last(folder: Path, *lingers_in: Stage) -> Iterator[httpx.Client]:
    """A client of a server process, which is killed when the context is left."""
    command = [sys.executable, "-m", "tests.unit.whisper_server.killable_server", str(folder), *lingers_in]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'images'}"}
    log = folder / f"log-{'-'.join(lingers_in)}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        assert eventually(lambda: "running on" in log.read_text() or process.poll() is not None)
        address = re.search(r"running on (http://\S+)", log.read_text())
        assert address is not None, log.read_text()
        with httpx.Client(base_url=address[1], timeout=20) as client:
            yield client
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stage", get_args(Stage))
def test_a_job_is_done_by_the_next_server(tmp_path: Path, stage: Stage) -> None:
    with killed_at_last(tmp_path, stage) as http:
        job_id = submit(http)["id"]
        assert eventually(lambda: job(http, job_id).get("stage") == stage)
    with killed_at_last(tmp_path) as http:
        assert finished(http, job_id)["result"]["text"] == "Good morning. Fine day."
        assert not list(tmp_path.glob("jobs/*/audio"))


def started_again(http: httpx.Client, job_id: str, before: int) -> int:
    """When the next attempt began, in seconds since the epoch, once it tells speakers apart."""

    def is_there() -> bool:
        found = job(http, job_id)
        return found.get("started_at", 0) > before and found.get("stage") == "speakers"

    assert eventually(is_there)
    began: int = job(http, job_id)["started_at"]
    return began


def test_a_job_that_is_there_whenever_its_server_dies_fails(tmp_path: Path) -> None:
    job_id, began = "", 0
    for _ in range(3):
        with killed_at_last(tmp_path, "speakers") as http:
            job_id = job_id or submit(http)["id"]
            began = started_again(http, job_id, began)
    with killed_at_last(tmp_path) as http:
        failed = finished(http, job_id)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "too_many_attempts")
        assert finished(http, submit(http)["id"])["status"] == "completed", "it takes no other along"
