"""The table of playbooks/status.yml."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_HEAD = ("SERVICE", "VERSION", "STATE", "MEMORY", "CERTIFICATE", "LAST USED", "LAST ERROR")
_UNKNOWN = "-"


def status_table(
    services: Sequence[Mapping[str, Any]],
    containers: Mapping[str, Sequence[str]],
    listed: Sequence[Mapping[str, str]],
    used: Sequence[Mapping[str, str]],
    certificates: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return the lines of the table: a header, then one line per service.

    `services` comes from `docker-autostart status --json`; `containers` maps a service's host to its container names;
    `listed` and `used` are the JSON output of `docker container ls` and `docker stats`; `certificates` is the result of
    the role certificates.
    """
    images = {container["Names"]: container["Image"] for container in listed}
    memory = {container["Name"]: container["MemUsage"].partition(" / ")[0] for container in used}
    ends = {certificate["name"]: _end(certificate) for certificate in certificates}
    rows = [_HEAD]
    for service in services:
        names = containers.get(service["host"], ())
        rows.append(
            (
                service["host"],
                _joined(images[name].rpartition(":")[2] for name in names if name in images),
                service["state"],
                _joined(memory[name] for name in names if name in memory),
                ends.get(service["host"], _UNKNOWN),
                _ago(service["last_used_seconds_ago"]),
                service["failure"] or _UNKNOWN,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def certificate_lines(certificates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line per certificate: days until expiry and issuer, or why it cannot be read."""
    return [
        f"certificate of {certificate['name']}: "
        + (certificate.get("problem") or f"{_end(certificate)} left, from {certificate['issuer']}")
        for certificate in certificates
    ]


def _joined(parts: Any) -> str:
    return ", ".join(parts) or _UNKNOWN


def _end(certificate: Mapping[str, Any]) -> str:
    return f"{certificate['days_left']} days" if "days_left" in certificate else "unreadable"


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


class FilterModule:
    """The entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"status_table": status_table, "certificate_lines": certificate_lines}
