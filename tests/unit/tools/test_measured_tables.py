"""The numbers in the documents are those that were measured."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.rows import below, exactly
from tools.measured_tables import DOCUMENTS, filled

DOCUMENT = """\
Before.

<!-- measured: suite -->
| old |
<!-- end -->

<!-- word error rates: suite -->
<!-- end -->
After.
"""

FILLED = """\
Before.

<!-- measured: suite -->
| metric | result | target | status |
|---|---|---|---|
| start | 1.25 s | < 1 | missed |
| answered | 9 | = 9 | met |
<!-- end -->

<!-- word error rates: suite -->
| file | server | library |
|---|---|---|
| a/b, c.wav | 25 % | 50 % |
<!-- end -->
After.
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = [
        below("start", 1.25, "s", 1),
        exactly("word error rate, a/b, c.wav, library's", 0.25, "", 0.5),
        exactly("answered", 9, "", 9),
    ]
    (tmp_path / "suite.json").write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    return tmp_path


def test_tables_are_filled_and_stay_so(results: Path) -> None:
    assert filled(DOCUMENT, results) == FILLED
    assert filled(FILLED, results) == FILLED


@pytest.mark.parametrize("removed", [1, 2])
def test_a_table_without_an_end_is_refused(results: Path, removed: int) -> None:
    """The first of two, which would swallow the second, and the last."""
    parts = DOCUMENT.split("<!-- end -->")
    parts[removed - 1 : removed + 1] = ["".join(parts[removed - 1 : removed + 1])]
    with pytest.raises(ValueError, match="has no <!-- end -->"):
        filled("<!-- end -->".join(parts), results)


def test_a_suite_that_was_never_run(results: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"other\.json"):
        filled(DOCUMENT.replace("suite", "other"), results)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_are_what_make_docs_writes(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert "<!-- measured: " in text
    assert text == filled(text), f"{document.name} is out of date: run `make docs`"


def test_a_table_of_speeds(tmp_path: Path) -> None:
    speed = {"seconds": 0.4, "least": 0.3, "most": 0.5, "runs": 5, "segments": 1}
    others = {"WhisperModel": 1.0, "BatchedInferencePipeline(batch_size=8)": 0.8}
    content = {
        "machine": "2 x CPU",
        "versions": {"python": "3.11"},
        "command": "make bench SUITE=speed",
        "megabytes": {"ours": 500},
        "speeds": [
            {"case": "7 s", "participant": "ours", "wrong": 4.5, **speed},
            {"case": "169 s", "participant": "ours", "wrong": -1, **speed},
            *(
                {"case": case, "participant": name, "wrong": -1, **speed, "seconds": seconds}
                for case in ("7 s", "169 s")
                for name, seconds in others.items()
            ),
        ],
    }
    (tmp_path / "speeds.json").write_text(json.dumps(content), encoding="utf-8")
    lines = filled("<!-- speeds: speeds -->\n<!-- end -->\n", tmp_path).splitlines()
    assert lines[6:8] == [
        "| 7 s | ours | 0.4 | 0.3 to 0.5 (5) | 4.5 % | 1 |",
        "| 169 s | ours | 0.4 | 0.3 to 0.5 (5) |  | 1 |",
    ]
    assert '    x-axis ["7 s", "169 s"]' in lines
    assert '    y-axis "speedup" 0 --> 3' in lines
    assert "    bar [2.5, 2.5]" in lines
    assert "    line [1.2, 1.2]" in lines
    assert lines[1] == "`make bench SUITE=speed` on 2 x CPU; python 3.11. Peak memory during the long recording: "
