"""Every target of make that a script, a workflow or another program of the repository names exists."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMAND = re.compile(r"\bmake (?:--[\w-]+ )*([a-z]+-[a-z-]+|check|test|demo|tools|bench|molecule)\b")


def programs() -> list[Path]:
    """The files that run make: what git knows, but the documentation, which has a test of its own."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    named = (".github/workflows/", ".ci/", "tools/", "tests/", "demo/", "testbed/", "benchmarks/")
    return [ROOT / name for name in listed if name.startswith(named) and not name.endswith((".json", ".md", ".png"))]


def test_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {path: COMMAND.findall(path.read_text(encoding="utf-8", errors="replace")) for path in programs()}
    assert any(named.values())
    assert {str(path): names for path, names in named.items() if not targets.issuperset(names)} == {}
