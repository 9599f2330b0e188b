"""Rows of a suite: a number that was measured, and the target it is held against."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One measured number.

    ``target`` is a bound, in words such as "< 60"; ``met`` says whether ``value`` keeps it.
    """

    name: str
    value: float
    unit: str
    target: str
    met: bool


def below(name: str, value: float, unit: str, limit: float) -> Row:
    """Return a row whose value must stay below ``limit``."""
    return Row(name, round(value, 3), unit, f"< {limit:g}", value < limit)


def above(name: str, value: float, unit: str, limit: float) -> Row:
    """Return a row whose value must be above ``limit``."""
    return Row(name, round(value, 3), unit, f"> {limit:g}", value > limit)


def exactly(name: str, value: float, unit: str, expected: float) -> Row:
    """Return a row whose value must be ``expected``."""
    return Row(name, value, unit, f"= {expected:g}", value == expected)


def save(suite: str, rows: list[Row]) -> Path:
    """Write ``results/SUITE.json`` and return its path."""
    path = RESULTS / f"{suite}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    return path


def table(rows: list[Row]) -> str:
    """Return the rows as lines for a terminal."""
    width = max(len(row.name) for row in rows)
    return "\n".join(
        f"{row.name:{width}}  {row.value:>10g} {row.unit:4}  {row.target:>8}  {'met' if row.met else 'MISSED'}"
        for row in rows
    )
