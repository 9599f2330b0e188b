"""The inventories that people begin with name nothing that does not exist."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.role_readme import read_defaults, role_folders

ROOT = Path(__file__).parents[3]
INVENTORY = ROOT / "inventory"
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


def test_no_inventory_is_the_default() -> None:
    """Whoever forgets -i must not connect to somebody else's server as root."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "ansible.cfg", encoding="utf-8")
    assert not settings.has_option("defaults", "inventory")


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/preflight.yml"])
def test_a_run_without_an_inventory_asks_for_one(playbook: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ANSIBLE_INVENTORY"}
    environment["ANSIBLE_LOCAL_TEMP"] = str(tmp_path)
    done = subprocess.run(
        ["ansible-playbook", playbook], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    # As the terminal shows it, wrapped.
    assert "Select your inventory with -i inventory/NAME" in " ".join(done.stdout.split())
