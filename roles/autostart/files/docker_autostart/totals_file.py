"""The file in which counters survive restarts of the daemon and the host."""

import asyncio
import logging
import os
from pathlib import Path

from docker_autostart.totals import Totals

log = logging.getLogger("docker_autostart")


class TotalsFile:
    """The file is replaced atomically after an fsync: a power failure leaves the old or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = ""
        self._complained = False

    def read(self) -> Totals:
        """Read the file. Counters start from 0 without one; an invalid file is renamed."""
        try:
            return Totals.from_json(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Totals()
        except (OSError, ValueError) as error:
            log.warning("%s is not used, all counters start from 0: %s", self._path, error)
            self._set_aside()
            return Totals()

    def _set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_suffix(".unreadable"))
        except OSError as error:
            log.warning("%s cannot be renamed: %s", self._path, error)

    async def write(self, totals: Totals) -> None:
        """In a thread: a slow disk must not delay requests. A failure is logged once, and the next call tries again."""
        text = totals.as_json()
        if text == self._written:
            return
        try:
            await asyncio.to_thread(self._replace, text)
        except OSError as error:
            if not self._complained:
                log.warning("%s cannot be written, a restart would lose counts: %s", self._path, error)
            self._complained = True
        else:
            self._written, self._complained = text, False

    def _replace(self, text: str) -> None:
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
