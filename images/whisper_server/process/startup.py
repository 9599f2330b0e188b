"""What a server does to its process before anything else. No module does such a thing when it is imported."""

import tempfile
from pathlib import Path

from whisper_server.process import json_log
from whisper_server.process.settings import Settings


def prepare(settings: Settings) -> None:
    """Opens the log, and lets temporary files go to the data volume. Raises OSError when that cannot be written.

    Thread counts are the image's environment and `Settings.cpu_threads`; torch's are set by the threads that use it.
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
