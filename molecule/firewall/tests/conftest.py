"""The server deployed to over ssh and its network, where the firewall stands in between."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

SERVER = "whisper-firewall"
ROOT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def address_of_the_server() -> str:
    look = ["docker", "exec", SERVER, "ip", "-4", "-json", "address", "show", "dev", "eth0"]
    (interface,) = json.loads(subprocess.run(look, capture_output=True, text=True, check=True).stdout)
    return str(interface["addr_info"][0]["local"])


@pytest.fixture
def address() -> Callable[[], str]:
    """Ask for the server's address, which a restart may change."""
    return address_of_the_server


@pytest.fixture
def deploy() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the roles of the scenario, or one of them, with these variables over the network, and return how it went."""

    def deploy_over_ssh(role: str = "all", **variables: object) -> subprocess.CompletedProcess[str]:
        server = {
            "ansible_host": address_of_the_server(),
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(ROOT / ".cache/testbed/id_ed25519"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        }
        inventory = EPHEMERAL / "ssh.json"
        inventory.write_text(json.dumps({"whisper_services": {"hosts": {"server": server}}}))
        playbook = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / "molecule/firewall/converge.yml")]
        # Connections of their own: none that an earlier deployment authenticated is used again.
        with tempfile.TemporaryDirectory() as connections:
            return subprocess.run(
                [*playbook, "-i", str(inventory), "--tags", role, "-e", json.dumps(variables)],
                env={
                    **os.environ,
                    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                    "ANSIBLE_SSH_CONTROL_PATH_DIR": connections,
                },
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )

    return deploy_over_ssh
