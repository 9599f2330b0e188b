"""What tests, benchmarks and the testbed share is in the testbed, which depends on neither."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(("folder", "others"), [("benchmarks", {"tests"}), ("testbed", {"benchmarks", "tests"})])
def test_imports_go_one_way(folder: str, others: set[str]) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    assert [path for path in files if others & set(imported(path))] == []
