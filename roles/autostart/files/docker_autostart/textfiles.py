"""Metrics of other programs of the host, from files `*.prom` in a folder, as of node_exporter's textfile collector."""

import logging
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import Metric

from docker_autostart.service_metrics import PREFIX, parse_metrics

LARGEST_FILE = 1_000_000
FILES = 20

log = logging.getLogger("docker_autostart")


class Textfiles:
    """Writers must replace a file atomically. Invalid files are skipped and logged once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._families: tuple[Metric, ...] = ()
        self._faulty: set[Path] = set()

    def read(self) -> None:
        self._families = tuple(self._read())

    def families(self) -> Iterator[Metric]:
        """As last read."""
        yield from self._families

    def _read(self) -> Iterator[Metric]:
        for path in sorted(self._folder.glob("*.prom"))[:FILES]:
            try:
                with path.open(encoding="utf-8") as file:
                    families = parse_metrics(file.read(LARGEST_FILE))
            except (OSError, ValueError) as error:
                if path not in self._faulty:
                    log.warning("%s is not used: %s", path, error)
                self._faulty.add(path)
                continue
            self._faulty.discard(path)
            yield from (family for family in families if family.name.startswith(PREFIX))
