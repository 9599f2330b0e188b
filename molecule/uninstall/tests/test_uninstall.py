"""What is left of a deployment. The tests run in this order, on one host."""

import os
import re
import subprocess
from pathlib import Path

from testinfra.host import Host

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])

# What packages make besides their files, what programs log, and what any program may leave where it is for that.
NOT_OURS = re.compile(
    r"/(?:tmp|var/tmp|run|dev|usr|var/log|var/cache)(?:/|$)"
    r"|/var/lib/(?:apt|dpkg|fail2ban|logrotate|private|systemd|ucf|unattended-upgrades)(?:/|$)"
    r"|/var/www(?:/html(?:/index\.nginx-debian\.html)?)?$|/(?:etc|var)/\.updated$"
    r"|/root/(?:\.ansible|(?:files|ports)-before)(?:/|$)"
    r"|/etc/(?:alternatives|rc.\.d|apt/apt\.conf\.d|ssl/certs|systemd/(?:system|user)/[^/]*\.wants)(?:/|$)"
)

DATA = re.compile(r"/(?:var/lib/docker|var/lib/containerd|root/\.cache)(?:/|$)")


def uninstall(*arguments: str) -> str:
    """Run the playbook and return all it printed, as one line."""
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], "playbooks/uninstall.yml"]
    roles = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles")}
    done = subprocess.run(
        [*command, *arguments], cwd=PROJECT, env=os.environ | roles, check=False, capture_output=True, text=True
    )
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, printed[-3000:]
    return printed


def added(host: Host) -> list[str]:
    """Files that neither the bare server had nor a package has."""
    found = host.check_output(
        "cat /root/files-before /var/lib/dpkg/info/*.list | sort --unique >/tmp/known; "
        "find / -xdev -not -path '/proc/*' | sort | comm -23 - /tmp/known"
    )
    return [path for path in found.splitlines() if not NOT_OURS.match(path)]


def test_all_but_the_data_goes(host: Host) -> None:
    assert host.file("/opt/whisper-faster/docker-compose.yml").exists
    assert host.service("nginx").is_running
    host.check_output("docker volume inspect whisper-faster_data")
    printed = uninstall()
    assert "Jobs, models and certificates of an ACME server are still there" in printed
    left = added(host)
    assert [path for path in left if not DATA.match(path)] == []
    assert host.file("/var/lib/docker/volumes/whisper-faster_data/_data/jobs.sqlite3").exists
    assert any("faster-whisper-base" in path for path in left)


def test_nothing_listens_and_nothing_runs(host: Host) -> None:
    listening = host.check_output("ss --no-header --listening --tcp --udp --numeric | awk '{print $1, $5}' | sort")
    assert listening == host.file("/root/ports-before").content_string.strip()
    for name in ("docker-autostart.service", "docker-autostart.socket", "nginx.service", "docker.service"):
        assert not host.service(name).is_running, name
    assert host.run("command -v nft && nft list ruleset").stdout.count("whisper") == 0


def test_a_second_run_changes_nothing(host: Host) -> None:
    del host
    assert "changed=0" in uninstall()


def test_the_data_goes_when_told(host: Host) -> None:
    assert "Its data is deleted too" in uninstall("--extra-vars", "uninstall_data=true")
    assert added(host) == []
