"""Counters that survive the restart of the program that counts.

A program that restarts counts from 0 again. `Totals` adds what its previous runs had counted, so that no sum ever
falls. The samples of a counter or a histogram (`_total`, `_bucket`, `_sum`, `_count`) are treated alike: all only rise.
"""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import Metric

CUMULATIVE = frozenset(("counter", "histogram"))
SERIES_LIMIT = 5000
"""Maximum per source; further series are dropped, so that a bug in labels fills neither memory nor disk."""

log = logging.getLogger("docker_autostart")

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels, sorted."""


@dataclass
class _Count:
    """`before` is the sum of earlier runs, `now` the value of the current run."""

    family: str
    before: float = 0.0
    now: float = 0.0


@dataclass
class _Source:
    run: str
    families: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Type and help text by name."""
    counts: dict[Series, _Count] = field(default_factory=dict)
    is_full: bool = False


class Totals:
    """Sums by source, which is a service's host, or "" for the daemon itself."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def update(self, source: str, run: str, families: Iterable[Metric]) -> None:
        """Add the counters of `families`; `run` identifies the program's current run, for example by its start time."""
        kept = self._sources.setdefault(source, _Source(run))
        if kept.run != run:
            kept.run = run
            for count in kept.counts.values():
                count.before, count.now = count.before + count.now, 0.0
        for family in families:
            if family.type in CUMULATIVE:
                self._take(source, kept, family)

    def _take(self, source: str, kept: _Source, family: Metric) -> None:
        kept.families[family.name] = (family.type, family.documentation)
        for sample in family.samples:
            if sample.name.endswith("_created") or not math.isfinite(sample.value):
                continue
            series = (sample.name, tuple(sorted(sample.labels.items())))
            count = kept.counts.get(series)
            if count is None:
                if len(kept.counts) >= SERIES_LIMIT:
                    self._warn_once(source, kept)
                    continue
                count = kept.counts[series] = _Count(family.name)
            if sample.value < count.now:  # a restart that `run` does not show
                count.before += count.now
            count.now = sample.value

    def _warn_once(self, source: str, kept: _Source) -> None:
        if not kept.is_full:
            log.warning("%s: more than %d metrics, the others are not kept", source or "daemon", SERIES_LIMIT)
        kept.is_full = True

    def families(self, source: str) -> Iterator[Metric]:
        """The sums of a source, whether it runs or not; empty for an unknown one."""
        kept = self._sources.get(source)
        if kept is None:
            return
        metrics = {name: Metric(name, text, kind) for name, (kind, text) in kept.families.items()}
        for (name, labels), count in kept.counts.items():
            metrics[count.family].add_sample(name, dict(labels), count.before + count.now)
        yield from metrics.values()

    def retain(self, sources: Iterable[str]) -> None:
        """Forget all other sources."""
        wanted = set(sources)
        self._sources = {source: kept for source, kept in self._sources.items() if source in wanted}

    def as_json(self) -> str:
        return json.dumps(
            {
                source: {
                    "run": kept.run,
                    "families": kept.families,
                    "counts": [
                        [name, dict(labels), count.family, count.before, count.now]
                        for (name, labels), count in kept.counts.items()
                    ],
                }
                for source, kept in self._sources.items()
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Totals":
        """Raises ValueError for a text that `as_json` has not made."""
        totals = cls()
        try:
            for source, kept in json.loads(text).items():
                totals._sources[source] = _source(kept)
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a list of counters: {error!r}") from error
        return totals


def _source(kept: Mapping[str, Any]) -> _Source:
    families = {name: (str(kind), str(text)) for name, (kind, text) in kept["families"].items()}
    counts: dict[Series, _Count] = {}
    for name, labels, family, before, now in kept["counts"]:
        if family not in families:
            raise ValueError(f"a counter of the unknown family {family!r}")
        series = (str(name), tuple(sorted((str(key), str(value)) for key, value in labels.items())))
        counts[series] = _Count(family, float(before), float(now))
    return _Source(str(kept["run"]), families, counts)
