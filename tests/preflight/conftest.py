"""A fresh server of the test bed, used for nothing else, and inventories of which it is every host."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.preflight.runs import ROOT, run

SERVER = "whisper-preflight"
SSH = f"-F {ROOT}/testbed/ssh_config -i {ROOT}/.cache/testbed/id_ed25519"
EXAMPLE = ROOT / "inventory/example"
HOST = "srv1.example.com"

WRONG_TOKEN = "hf-of-somebody"

# What Ansible itself leaves on every host that it talks to, and what /tmp is for.
ANSIBLE_OWN = ("/root", "/tmp", "/var/tmp", "/run")  # noqa: S108 - paths of the server, compared with, never written


def bed(*playbooks: str) -> None:
    instances = json.dumps({"testbed_instances": [{"name": SERVER}]})
    done = run("ansible-playbook", *(f"testbed/{name}.yml" for name in playbooks), "--extra-vars", instances)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Name of a fresh server in a container."""
    bed("destroy", "create")
    yield SERVER
    bed("destroy")


def write_inventory(folder: Path, hosts: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the example inventory with these hosts, each with its vault and variables of its own; return its folder."""
    shutil.copytree(EXAMPLE, folder)
    for host in hosts.keys() - {HOST}:
        shutil.copytree(EXAMPLE / "host_vars" / HOST, folder / "host_vars" / host)
    reached = {"ansible_host": SERVER, "ansible_ssh_common_args": SSH}
    entries = {host: reached | dict(variables) for host, variables in hosts.items()}
    (folder / "hosts.yml").write_text(json.dumps({"whisper_services": {"hosts": entries}}))
    return folder


def changed_files(server: str) -> set[str]:
    """Files that differ from the server's image."""
    lines = run("docker", "diff", server).stdout.splitlines()
    return {line[2:] for line in lines if not line[2:].startswith(ANSIBLE_OWN)}
