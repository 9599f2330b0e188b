"""A server of its own process with the scripted engine, to be killed: `python -m … FOLDER [STAGE TO LINGER IN]`."""

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn

from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from whisper_server.http.app import create_app
from whisper_server.process import startup
from whisper_server.process.settings import Settings
from whisper_server.speech import decoding
from whisper_server.speech.recording import Recording
from whisper_server.work import job_store, job_worker


def main(folder: str, *lingers_in: Any) -> None:
    job_store.LEASE_SECONDS = 2
    job_worker._TEND_SECONDS = 0.2
    engine = ScriptedEngine()
    engine.lingers_in = next(iter(lingers_in), None)
    decode = decoding.decode

    def slowly(*arguments: Any) -> Recording:
        engine.linger("decoding", arguments[-1])
        return decode(*arguments)

    settings = Settings(data_folder=Path(folder))
    startup.prepare(settings)
    app = create_app(engine, settings, title="test")
    server = uvicorn.Server(uvicorn.Config(app, port=0))
    with patch.object(decoding, "decode", slowly):
        server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
