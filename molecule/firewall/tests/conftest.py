"""The server deployed to over ssh and its network, where the firewall stands in between."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SERVER = "whisper-firewall"
ROOT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture
def deploy() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the roles of the scenario with these variables over the network, and return how it went."""

    def deploy_over_ssh(**variables: object) -> subprocess.CompletedProcess[str]:
        look = ["docker", "exec", SERVER, "ip", "-4", "-json", "address", "show", "dev", "eth0"]
        (interface,) = json.loads(subprocess.run(look, capture_output=True, text=True, check=True).stdout)
        server = {
            "ansible_host": interface["addr_info"][0]["local"],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(ROOT / ".cache/testbed/id_ed25519"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        }
        inventory = EPHEMERAL / "ssh.json"
        inventory.write_text(json.dumps({"whisper_services": {"hosts": {"server": server}}}))
        playbook = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / "molecule/firewall/converge.yml")]
        return subprocess.run(
            [*playbook, "-i", str(inventory), "-e", json.dumps(variables)],
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    return deploy_over_ssh
