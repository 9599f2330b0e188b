"""What playbooks/status.yml tells an operator of the demo."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.api.conftest import Demo

ROOT = Path(__file__).parents[2]


def test_services_versions_memory_certificates_and_room(demo: Demo) -> None:
    def inside(*command: str) -> str:
        done = subprocess.run(
            ["docker", "exec", demo.container, "docker", *command], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    command = ["ansible-playbook", "playbooks/status.yml", "-i", "inventory/demo"]
    plain = os.environ | {"ANSIBLE_NOCOLOR": "1"}
    output = subprocess.run(command, cwd=ROOT, env=plain, check=True, capture_output=True, text=True).stdout
    (shown,) = [part for part in output.split("TASK ") if part.startswith("[Show the status]")]
    lines = yaml.safe_load(shown.partition("=>")[2].partition("\n\n")[0])["msg"].splitlines()
    services = {"faster-whisper": demo.url, "whisperx": demo.whisperx_url}
    rows = {line.split()[0]: line for line in lines[1 : 1 + len(services)]}
    assert rows.keys() == {urlsplit(url).hostname for url in services.values()}
    for name, url in services.items():
        row = rows[str(urlsplit(url).hostname)]
        image = inside("container", "inspect", "--format", "{{.Config.Image}}", name)
        assert image.rpartition(":")[2] in row.split()
        assert " days " in row
        running = inside("container", "inspect", "--format", "{{.State.Running}}", name) == "true"
        assert ("MiB" in row) == running, row
    assert any(line.startswith("certificate of portal.") for line in lines)
    assert lines[-1].startswith("disk: ")
    assert lines[-1].endswith(" free")
