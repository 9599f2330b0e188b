"""Fills the tables of measurements in the documents from benchmarks/results: `make docs`.

A table stands between `<!-- measured: SUITE -->`, `<!-- word error rates: SUITE -->` or `<!-- speeds: speeds -->` and
`<!-- end -->`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, Row
from benchmarks.speed import BATCHED, OURS, SEQUENTIAL

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "docs" / "performance.md",)

# A row that compares one recording's word error rate with another program's, which is the target.
_WORD_ERROR_RATE = re.compile(r"word error rate, (?P<file>.+), (?P<other>\S+)'s")

_BEGIN = re.compile(r"<!-- (?P<kind>measured|word error rates|speeds): (?P<suite>\w+) -->")
_SECTION = re.compile(_BEGIN.pattern + r"\n(?P<table>.*?)\n?<!-- end -->", re.DOTALL)


def filled(document: str, results: Path = RESULTS) -> str:
    """Return the document with its tables updated.

    Raises:
        ValueError: a table has a begin marker but no end marker.
        FileNotFoundError: a table belongs to a suite without results.
    """

    def section(match: re.Match[str]) -> str:
        if _BEGIN.search(match["table"]):
            raise ValueError(f"the table before {_BEGIN.search(match['table'])!r} has no <!-- end -->")
        content = json.loads((results / f"{match['suite']}.json").read_text(encoding="utf-8"))
        if match["kind"] == "speeds":
            lines = _speeds(content)
        else:
            rows = [Row(**row) for row in content]
            lines = _measured(rows) if match["kind"] == "measured" else _word_error_rates(rows)
        return "\n".join([match[0].partition("\n")[0], *lines, "<!-- end -->"])

    text, tables = _SECTION.subn(section, document)
    if tables != len(_BEGIN.findall(document)):
        raise ValueError("a table has no <!-- end -->")
    return text


def _measured(rows: list[Row]) -> Iterator[str]:
    yield "| metric | result | target | status |"
    yield "|---|---|---|---|"
    for row in rows:
        if not _WORD_ERROR_RATE.fullmatch(row.name):
            value = f"{row.value:g} {row.unit}".strip()
            yield f"| {row.name} | {value} | {row.target} | {'met' if row.met else 'missed'} |"


def _word_error_rates(rows: list[Row]) -> Iterator[str]:
    found = [(match, row) for row in rows if (match := _WORD_ERROR_RATE.fullmatch(row.name))]
    yield f"| file | server | {found[0][0]['other']} |"
    yield "|---|---|---|"
    for match, row in found:
        yield f"| {match['file']} | {_percent(row.value)} | {_percent(float(row.target.removeprefix('= ')))} |"


def _percent(share: float) -> str:
    return f"{round(100 * share, 2):g} %"


def _speeds(content: dict[str, Any]) -> Iterator[str]:
    """The results of benchmarks/speed.py: times of one run in which all took turns."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    yield f"`{content['command']}` on {content['machine']}; {versions}. Peak memory during the long recording: "
    yield ", ".join(f"{name} {megabytes} MB" for name, megabytes in content["megabytes"].items()) + "."
    yield ""
    yield "| recording | implementation | median (s) | range (runs) | WER | segments |"
    yield "|---|---|---|---|---|---|"
    for speed in content["speeds"]:
        wrong = f"{speed['wrong']:g} %" if speed["wrong"] >= 0 else ""
        yield (
            f"| {speed['case']} | {speed['participant']} | {speed['seconds']:g} | {speed['least']:g} to "
            f"{speed['most']:g} ({speed['runs']}) | {wrong} | {speed['segments']} |"
        )
    yield ""
    yield from _plot(content["speeds"])


def _plot(speeds: list[dict[str, Any]]) -> Iterator[str]:
    """Speedup of this server and of the library's batches over the library's default, as a Mermaid chart."""
    seconds = {(speed["case"], speed["participant"]): speed["seconds"] for speed in speeds}
    cases = [case for case, participant in seconds if participant == SEQUENTIAL]

    def times(participant: str) -> list[float]:
        return [round(seconds[case, SEQUENTIAL] / seconds[case, participant], 1) for case in cases]

    yield "```mermaid"
    yield "xychart-beta"
    yield f'    title "Speedup over {SEQUENTIAL} (bars: this server; line: {BATCHED})"'
    yield "    x-axis [" + ", ".join(f'"{case}"' for case in cases) + "]"
    yield f'    y-axis "speedup" 0 --> {math.ceil(max(times(OURS) + times(BATCHED)))}'
    yield f"    bar {times(OURS)}"
    yield f"    line {times(BATCHED)}"
    yield "```"


def main() -> None:
    """Write every document whose tables differ from the results, and print its name."""
    for path in DOCUMENTS:
        present = path.read_text(encoding="utf-8")
        if (text := filled(present)) != present:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
