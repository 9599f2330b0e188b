"""The inventories that people begin with name nothing that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tools.role_readme import read_defaults, role_folders

INVENTORY = Path(__file__).parents[3] / "inventory"
VARIABLES = {name for role in role_folders() for name in read_defaults(role)}


def settings(inventory: str) -> str:
    return (INVENTORY / inventory / "group_vars/whisper_services/main.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("inventory", ["example", "production"])
def test_what_is_set_exists(inventory: str) -> None:
    names = yaml.safe_load(settings(inventory)).keys()
    assert [name for name in names if name not in VARIABLES and not name.startswith("__")] == []


def test_what_the_example_proposes_exists() -> None:
    proposed = re.findall(r"^# (\w+: .+)$", settings("example"), re.MULTILINE)
    names = {name for line in proposed for name in yaml.safe_load(line)}
    assert len(names) > 10
    assert names <= VARIABLES


@pytest.mark.parametrize(
    ("inventory", "host"), [("example", "srv1.example.com"), ("production", "srv759970.hstgr.cloud")]
)
def test_the_host_bears_its_domain(inventory: str, host: str) -> None:
    hosts = yaml.safe_load((INVENTORY / inventory / "hosts.yml").read_text(encoding="utf-8"))
    assert list(hosts["whisper_services"]["hosts"]) == [host]
