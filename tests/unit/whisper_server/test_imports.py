"""A server starts with what every request needs, and importing its modules changes nothing in the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# What only some requests need. Each took a tenth of a second or more of a start; torch and its users took four fifths.
LATE = {"httpx", "httpx2", "pandas", "pyannote", "requests", "scipy", "torch", "torchaudio", "transformers"}

LOOK = """
import gc, json, logging, os, signal, sys, tempfile, threading

def process():
    return [
        dict(os.environ), gc.isenabled(), tempfile.tempdir, threading.active_count(), logging.getLogger().handlers,
        logging.getLogger("whisper_server").handlers, [signal.getsignal(number) for number in signal.valid_signals()],
    ]

before = process()
for module in sys.argv[1:]:
    __import__(module)
print(json.dumps([before == process(), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(*modules: str) -> tuple[bool, set[str]]:
    """Whether importing modules left the process as it was, and the packages that are imported then."""
    # Without OpenVINO's model converter, as in the image: its import starts a thread that reports to Intel.
    paths = f"{ROOT / 'images'}:{ROOT / 'benchmarks/as_the_image'}"
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOOK, *modules]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    unchanged, packages = json.loads(done.stdout)
    return unchanged, set(packages)


@pytest.mark.parametrize("engine", ["whisper", "whisperx"])
def test_a_server_imports_what_every_request_needs(engine: str) -> None:
    unchanged, packages = imported(f"whisper_server.engines.{engine}.engine", "whisper_server.http.app")
    assert unchanged
    assert packages & LATE == set()
    assert {"fastapi", "numpy", "ctranslate2"} <= packages


def test_fastapi_is_imported_while_the_model_is_loaded() -> None:
    _, packages = imported(
        "whisper_server.engines.whisperx.engine", "whisper_server.work.preload", "whisper_server.process.startup"
    )
    assert packages & {"fastapi", "starlette", "uvicorn"} == set()


def test_the_process_that_decodes_needs_no_numbers() -> None:
    """It is forked for each file, with what it may use of memory."""
    unchanged, packages = imported("whisper_server.speech.decoding_task")
    assert unchanged
    assert packages & {"numpy", "ctranslate2", "fastapi", "pydantic"} == set()
