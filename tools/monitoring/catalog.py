"""All metrics that alerts and panels may name, from the programs that expose them."""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker_autostart import metrics as daemon
from whisper_server.process import metrics as server

ROOT = Path(__file__).parents[2]
HOST_METRICS = ROOT / "roles/monitoring/files/host_metrics.py"

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
"""What a type's samples add to its name."""

# Prometheus' own, and those of node_exporter that are used.
_FOREIGN = ("up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes")

_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on|ignoring|group_left|group_right|without)\s*\([^)]*\)|\"[^\"]*\"|\[[^]]*\]")
_PREFIXES = ("autostart_", "whisper_", "node_", "up")


@dataclass(frozen=True)
class Entry:
    """`source` says which program exposes it; of a counter `name` is without `_total`."""

    source: str
    name: str
    kind: str
    text: str
    labels: tuple[str, ...]

    @property
    def shown_name(self) -> str:
        """As it is written in a query."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def entries() -> list[Entry]:
    """Of the daemon, the services, and the host, in this order."""
    found = [Entry("daemon", each.name, each.kind, each.text, each.labels) for each in daemon.DESCRIPTIONS]
    found += [
        Entry("services", each.name, each.kind, each.text, ("service", *each.labels)) for each in server.DESCRIPTIONS
    ]
    found += [Entry("host", name, kind, text, labels) for name, (kind, text, labels) in host_descriptions().items()]
    return found


def host_descriptions() -> Mapping[str, tuple[str, str, tuple[str, ...]]]:
    """Those of a script that is copied to hosts, and therefore no module of a package."""
    spec = importlib.util.spec_from_file_location("host_metrics", HOST_METRICS)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(HOST_METRICS)
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    descriptions: Mapping[str, tuple[str, str, tuple[str, ...]]] = module.DESCRIPTIONS
    return descriptions


def sample_names() -> set[str]:
    """All names that a query may have."""
    own = {entry.name + suffix for entry in entries() for suffix in SUFFIXES[entry.kind]}
    return own | set(_FOREIGN)


def named_metrics(query: str) -> set[str]:
    """The names of metrics in a PromQL query."""
    words = _WORD.findall(_LABELS.sub(" ", query))
    return {word for word in words if word.startswith(_PREFIXES)}


def check(query: str) -> str:
    """The query. Raises ValueError if it names a metric that does not exist."""
    unknown = named_metrics(query) - sample_names()
    if unknown:
        raise ValueError(f"no such metric: {', '.join(sorted(unknown))}, in {query}")
    return query


def table() -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| metric | type | labels | meaning | from |"
    yield "|---|---|---|---|---|"
    for entry in entries():
        labels = ", ".join(f"`{label}`" for label in entry.labels)
        yield f"| `{entry.shown_name}` | {entry.kind} | {labels} | {entry.text} | {entry.source} |"
