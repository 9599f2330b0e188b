"""Writes metrics of this host that no service has: certificates, backups, and the statuses of nginx' responses.

Usage: host_metrics.py OUTPUT STATE LOG BACKUP [CERTIFICATE...]. OUTPUT is a file in Prometheus' text format, which is
replaced as a whole; STATE is where this program remembers how much of LOG, nginx' access log in JSON, it has counted.
BACKUP is a file whose modification time is that of the last backup. Needs Python 3.11, and for
certificates python3-cryptography.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

DESCRIPTIONS = {
    "whisper_certificate_expiry_timestamp_seconds": (
        "gauge",
        "When a certificate expires, in Unix time.",
        ("certificate",),
    ),
    "whisper_backup_timestamp_seconds": ("gauge", "When the last backup was fetched, in Unix time.", ()),
    "whisper_nginx_responses": (
        "counter",
        "Lines of nginx' access log by status. It has every request with valid credentials and all with wrong ones,"
        " but only 1 % of those without any.",
        ("site", "status"),
    ),
}
"""Type, help text and labels by name, that of a counter without `_total`."""

COUNTED = (401, 413, 429, 500, 502, 503, 504)
"""Of these statuses there is a series from the start: Prometheus sees no increase in a first sample."""
SITES = 50
LONGEST_LINE = 65536
MOST_BYTES = 200_000_000
"""Of the log in one run; what is left is counted by the next one."""

Statuses = Counter[tuple[str, int]]
"""By site and status."""


def main(arguments: list[str]) -> None:
    output, state_file, log, backup = (Path(argument) for argument in arguments[:4])
    state = read_state(state_file)
    statuses = Counter({(site, status): number for site, status, number in state["statuses"]})
    state["position"] = count_new_lines(log, state["position"], statuses)
    state["statuses"] = [[site, status, number] for (site, status), number in sorted(statuses.items())]
    # The state first: when the disk is full, the output stays as it was and agrees with it.
    replace(state_file, json.dumps(state))
    certificates = [Path(argument) for argument in arguments[4:]]
    replace(output, "".join(exposition(statuses, backup, certificates)))


def read_state(path: Path) -> dict[str, Any]:
    """What the previous run left; the statuses start from 0 where it cannot be read."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(state["statuses"], list) and isinstance(state["position"], list):
            return {"statuses": state["statuses"], "position": state["position"]}
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return {"statuses": [], "position": [0, 0]}


def count_new_lines(log: Path, position: list[int], statuses: Statuses) -> list[int]:
    """Count what was written after `position`, an inode and a number of bytes; returns the new position."""
    inode, offset = position
    rotated = log.with_name(f"{log.name}.1")
    if inode and _inode(log) != inode and _inode(rotated) == inode:
        _count(rotated, offset, statuses)
    current = _inode(log)
    if current is None:
        return [0, 0]
    start = offset if current == inode and offset <= log.stat().st_size else 0
    return [current, _count(log, start, statuses)]


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _count(path: Path, offset: int, statuses: Statuses) -> int:
    """Count whole lines; returns where the first one begins that is not complete."""
    end = offset + MOST_BYTES
    sites = {site for site, _ in statuses}
    with path.open("rb") as file:
        file.seek(offset)
        while offset < end and (line := file.readline(LONGEST_LINE)):
            if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                break
            offset += len(line)
            _count_line(line, statuses, sites)
    return offset


def _count_line(line: bytes, statuses: Statuses, sites: set[str]) -> None:
    try:
        entry = json.loads(line)
        site, status = str(entry["host"]), int(entry["status"])
    except (ValueError, TypeError, KeyError):
        return
    if 100 <= status <= 599 and (site in sites or len(sites) < SITES):
        sites.add(site)
        statuses[site, status] += 1


def exposition(statuses: Statuses, backup: Path, certificates: list[Path]) -> Iterator[str]:
    """The lines of Prometheus' text format 0.0.4."""
    certificate_name, backup_name, responses_name = DESCRIPTIONS
    expiries = {path.parent.name: expiry for path in certificates if (expiry := _expiry(path)) is not None}
    yield from _family(certificate_name, {(name,): expiry for name, expiry in expiries.items()})
    if backup.exists():
        yield from _family(backup_name, {(): backup.stat().st_mtime})
    counted: dict[tuple[str, ...], float] = {
        (site, str(status)): float(number) for (site, status), number in statuses.items()
    }
    for site in {site for site, _ in statuses}:
        for status in COUNTED:
            counted.setdefault((site, str(status)), 0.0)
    yield from _family(responses_name, counted)


def _expiry(certificate: Path) -> float | None:
    try:
        # Imported here: a host without certificates does not have this library.
        from cryptography import x509

        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (ImportError, OSError, ValueError) as error:
        print(f"{certificate}: {error}", file=sys.stderr)
        return None
    # Debian 12's cryptography has only a naive end time, which newer versions warn about.
    end = getattr(read, "not_valid_after_utc", None) or read.not_valid_after.replace(tzinfo=UTC)
    return float(end.timestamp())


def _family(name: str, values: Mapping[tuple[str, ...], float]) -> Iterator[str]:
    kind, text, labels = DESCRIPTIONS[name]
    full = f"{name}_total" if kind == "counter" else name
    yield f"# HELP {full} {text}\n# TYPE {full} {kind}\n"
    for each, value in sorted(values.items()):
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in zip(labels, each, strict=True))
        yield f"{full}{{{pairs}}} {value:.15g}\n" if pairs else f"{full} {value:.15g}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def replace(path: Path, content: str) -> None:
    """Replace a file as a whole; it is on the disk when this returns."""
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
