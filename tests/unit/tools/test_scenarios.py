"""Molecule's scenarios: each says what it is for. `make test-all` runs all that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted(path.parent for path in ROOT.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_its_first_line_says_what_it_is_for(scenario: Path) -> None:
    lines = (scenario / "molecule.yml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "---"
    assert re.fullmatch(r"# .{20,}", lines[1])
