"""The documentation names no command, playbook, tag or variable that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docker_autostart.cli import main
from tests.unit.docs.markdown import ROOT, code, documents
from tools.monitoring.catalog import entries, sample_names
from tools.role_readme import read_defaults, role_folders

FOLDERS = (ROOT, ROOT / "docs", ROOT / "docs/fr", ROOT / "docs/decisions")
PAGES = [path for path in documents() if path.parent in FOLDERS]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))

TARGET = r"(?:^|[;&|] *)make ([a-z-]+)"
PLAYBOOK = r"(?:^|ansible-playbook )((?:playbooks/)?\w+\.yml)"
TAGS = r"--tags ([\w,]+)"
DAEMON = r"docker-autostart ([a-z][a-z-]+)"

ROLES = [role.name for role in role_folders()]
VARIABLE = rf"(?<![\w/.-])((?:{'|'.join(ROLES)})_[a-z0-9_]+)(?![\w/.])"
# Metrics begin with the same words.
VARIABLES = {name for role in role_folders() for name in read_defaults(role)}
VARIABLES |= sample_names() | {entry.shown_name for entry in entries()}


def named(page: Path, pattern: str) -> set[str]:
    """What a group of a pattern matches in the code of a page."""
    return {name for line in code(page.read_text(encoding="utf-8")) for name in re.findall(pattern, line)}


@every_page
def test_targets_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert named(page, TARGET) <= set(targets)


@every_page
def test_playbooks_exist(page: Path) -> None:
    files_of_an_inventory = {"main.yml", "hosts.yml", "vault.yml"}
    names = named(page, PLAYBOOK) - files_of_an_inventory
    assert [name for name in names if not (ROOT / name).is_file()] == []


@every_page
def test_tags_exist(page: Path) -> None:
    plays = yaml.safe_load((ROOT / "site.yml").read_text(encoding="utf-8"))
    tags = {tag for play in plays for role in play.get("roles", []) for tag in role.get("tags", [])}
    assert {tag for tags in named(page, TAGS) for tag in tags.split(",")} <= tags


@every_page
def test_variables_exist(page: Path) -> None:
    assert named(page, VARIABLE) <= VARIABLES


@every_page
def test_the_commands_of_the_daemon_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in named(page, DAEMON):
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0, capsys.readouterr().err


def test_names_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    block = "cd x && make one\nansible-playbook playbooks/two.yml \\\n  --tags three\n"
    page.write_text(f"Say `make nothing`.\n\n```\n{block}```\n")
    assert named(page, TARGET) == {"nothing", "one"}
    assert named(page, PLAYBOOK) == {"playbooks/two.yml"}
    assert named(page, TAGS) == {"three"}


def test_the_operator_is_told_of_commands_and_variables() -> None:
    pages = [ROOT / "docs/operations.md", ROOT / "docs/troubleshooting.md"]
    for pattern in (TARGET, PLAYBOOK, TAGS, VARIABLE, DAEMON):
        assert any(named(page, pattern) for page in pages), pattern
