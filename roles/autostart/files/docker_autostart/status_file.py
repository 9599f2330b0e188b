"""The services' states in a world-readable file, so that readers neither ask the daemon nor start a service."""

import json
import logging
from pathlib import Path

from docker_autostart.fleet import Fleet

NAME = "status.json"
"""Within the run directory. The states by host, as JSON: `{"whisper.example.com": "ready"}`."""

READABLE = 0o644

log = logging.getLogger("docker_autostart")


class StatusFile:
    """Writes the file `path` whenever a state has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, str] | None = None

    def update(self, fleet: Fleet) -> None:
        states = {host: str(service.state) for host, service in fleet.services.items()}
        if states == self._written:
            return
        draft = self._path.with_suffix(".new")
        try:
            draft.write_text(json.dumps(states) + "\n", encoding="utf-8")
            draft.chmod(READABLE)  # whatever the umask
            draft.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
        else:
            self._written = states

    def remove(self) -> None:
        """Delete the file at shutdown, when the states are no longer known."""
        self._path.unlink(missing_ok=True)
        self._written = None
