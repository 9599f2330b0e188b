"""Molecule's scenarios: each says what it is for, and runs somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted(path.parent for path in ROOT.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_its_first_line_says_what_it_is_for(scenario: Path) -> None:
    lines = (scenario / "molecule.yml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "---"
    assert re.fullmatch(r"# .{20,}", lines[1])


def test_every_one_runs_in_make_test_or_in_the_workflow() -> None:
    run_tests = (ROOT / "tools/run-tests").read_text(encoding="utf-8")
    listed = re.findall(r"^run molecule-\w+ make molecule S=(\w+)$", run_tests, re.MULTILINE)
    assert listed
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["molecule"]["strategy"]["matrix"]["scenario"]
    assert sorted([*listed, *matrix]) == [scenario.name for scenario in SCENARIOS]
