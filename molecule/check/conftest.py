"""Runs of site.yml in check mode, and the state of the server around them."""

import functools
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SECRETS = ("molecule-key-0123456789abcdef0123456789", "$6$moleculesalt$", "PRIVATE KEY")


@pytest.fixture
def site() -> Callable[..., str]:
    """Runs site.yml with options and extra variables, and returns all it printed, which is as much as Ansible can."""

    def run(*options: str, **variables: Any) -> str:
        command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], "site.yml"]
        command += ["--diff", "-vvv", "--extra-vars", json.dumps(variables), *options]
        # Molecule asks for colours, which would be part of what is looked at.
        own = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles"), "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"}
        done = subprocess.run(command, cwd=PROJECT, env=os.environ | own, check=False, capture_output=True, text=True)
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed[-3000:]
        assert [secret for secret in SECRETS if secret in printed] == []
        return printed

    return run


@pytest.fixture
def check(site: Callable[..., str]) -> Callable[..., str]:
    """Runs site.yml with --check."""
    return functools.partial(site, "--check")


@pytest.fixture
def state(host: Host) -> Callable[[], str]:
    """Every file of the server that a deployment could write, with its mode, size and time; and what runs."""

    def look() -> str:
        files = host.check_output(
            "find /etc /opt /usr/local /srv /var/www /var/lib -xdev -not -path '/var/lib/docker/*' "
            "-not -path '/var/lib/systemd/*' -not -path '/var/lib/apt/*' -printf '%p %y %m %s %T@\\n' | sort"
        )
        units = host.check_output("systemctl list-units --type=service,socket --state=running --no-legend --plain")
        containers = host.run("docker container ls --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'").stdout
        return f"{files}\n{units}\n{containers}"

    return look
