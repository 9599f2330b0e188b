"""Sets up the process before anything else. Modules have no such side effects when they are imported."""

import tempfile
from pathlib import Path

from whisper_server.process import json_log
from whisper_server.process.settings import Settings


def prepare(settings: Settings) -> None:
    """Opens the log, and makes the data volume the place of temporary files. Raises OSError if that cannot be written.

    Thread counts come from the image's environment and `Settings.cpu_threads`; torch's are set per thread.
    """
    json_log.write_to_stdout(settings.log_level)
    _spool_in(settings.data_folder / "spool")


def _spool_in(folder: Path) -> None:
    """Starlette's form parser takes no folder: it asks `tempfile` for its files, and so do decoded recordings.

    The files have no name (O_TMPFILE), so nothing is left behind even by a crash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(folder)
    with tempfile.TemporaryFile():
        pass
