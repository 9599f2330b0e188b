"""`make help` says of every target what it does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def printed(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_every_target_has_a_line() -> None:
    phony = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = [target for line in phony for target in line.split()]
    explained = re.findall(r"^  (\S+) +\S.+$", printed("help"), re.MULTILINE)
    assert len(targets) > 10
    assert sorted(explained) == sorted(targets)


def test_every_rule_for_people_is_phony() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([a-z][a-z-]*(?: [a-z-]+)*):(?!=)", text, re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert {name for rule in rules for name in rule.split()} == {name for line in phony for name in line.split()}


def test_make_alone_is_help() -> None:
    assert printed() == printed("help")
