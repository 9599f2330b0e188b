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
    r"|/root/(?:\.ansible|(?:files|ports|packages)-before)(?:/|$)"
    r"|/etc/(?:alternatives|rc.\.d|apt/apt\.conf\.d|ssl/certs|systemd/(?:system|user)/[^/]*\.wants)(?:/|$)"
)

# With it stays the note of the packages that have it: they are purged when it goes.
DATA = re.compile(r"/(?:var/lib/docker|var/lib/containerd|root/\.cache)(?:/|$)|/var/lib/whisper-services\.packages$")

# One that needs what was installed for the site.
PACKAGE_OF_THE_ADMINISTRATOR = """
mkdir -p /tmp/admin/DEBIAN
cat >/tmp/admin/DEBIAN/control <<END
Package: of-the-admin
Version: 1
Architecture: all
Maintainer: root
Description: needs nftables
Depends: nftables
END
dpkg-deb --build /tmp/admin /tmp/admin.deb && dpkg --install /tmp/admin.deb
"""


def playbook(path: str, *arguments: str) -> str:
    """Run a playbook and return all it printed, as one line."""
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], path]
    # Molecule asks for colours, which would be part of what is looked at.
    own = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles"), "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        [*command, *arguments], cwd=PROJECT, env=os.environ | own, check=False, capture_output=True, text=True
    )
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, printed[-3000:]
    return printed


def uninstall(*arguments: str) -> str:
    return playbook("playbooks/uninstall.yml", *arguments)


def packages(host: Host) -> set[str]:
    """Name and state of every package that dpkg knows."""
    shown = host.check_output("dpkg-query --show --showformat '${Package} ${db:Status-Status}\\n'")
    return set(shown.splitlines())


def added(host: Host) -> list[str]:
    """Files that neither the bare server had nor a package has."""
    found = host.check_output(
        "cat /root/files-before /var/lib/dpkg/info/*.list | sort --unique >/tmp/known; "
        "find / -xdev -not -path '/proc/*' | sort | comm -23 - /tmp/known"
    )
    return [path for path in found.splitlines() if not NOT_OURS.match(path)]


def test_check_mode_takes_nothing_off(host: Host) -> None:
    before = packages(host)
    uninstall("--check")
    assert packages(host) == before
    assert host.service("nginx").is_running
    assert host.file("/var/lib/whisper-services.packages").exists
    assert host.file("/opt/whisper-faster/docker-compose.yml").exists


def test_all_but_the_data_goes(host: Host) -> None:
    assert host.file("/opt/whisper-faster/docker-compose.yml").exists
    assert host.service("nginx").is_running
    host.check_output("docker volume inspect whisper-faster_data")
    host.check_output(PACKAGE_OF_THE_ADMINISTRATOR)
    printed = uninstall()
    assert "Jobs, models and certificates of an ACME server were kept" in printed
    left = added(host)
    assert [path for path in left if not DATA.match(path)] == []
    assert host.file("/var/lib/docker/volumes/whisper-faster_data/_data/jobs.sqlite3").exists
    assert any("faster-whisper-base" in path for path in left)


def test_no_package_stays_but_those_that_another_needs_or_that_have_data(host: Host) -> None:
    before = set(host.file("/root/packages-before").content_string.splitlines())
    now = packages(host)
    assert before - now == set()
    names = {name for name, state in map(str.split, now - before) if state == "installed"}
    assert names >= {"of-the-admin", "nftables"}
    needed = host.check_output("apt-cache depends --recurse --installed --important of-the-admin").split()
    assert names - set(needed) == set()
    removed = {name for name, state in map(str.split, now - before) if state == "config-files"}
    assert "docker.io" in removed
    assert all(name.startswith(("docker", "containerd")) for name in removed), removed


def test_nothing_listens_and_nothing_runs(host: Host) -> None:
    listening = host.check_output("ss --no-header --listening --tcp --udp --numeric | awk '{print $1, $5}' | sort")
    assert listening == host.file("/root/ports-before").content_string.strip()
    for name in ("docker-autostart.service", "docker-autostart.socket", "nginx.service", "docker.service"):
        assert not host.service(name).is_running, name
    assert host.run("command -v nft && nft list ruleset").stdout.count("whisper") == 0


def test_a_second_run_changes_nothing_and_says_what_stays(host: Host) -> None:
    del host
    printed = uninstall()
    assert "changed=0" in printed
    assert re.search(r"nftables[\w, -]* of whisper-uninstall stay", printed)


def test_the_data_goes_when_told(host: Host) -> None:
    host.check_output("dpkg --purge of-the-admin")
    assert "Its data was deleted too" in uninstall("--extra-vars", "uninstall_data=true")
    assert added(host) == []
    assert packages(host) == set(host.file("/root/packages-before").content_string.splitlines())


def test_what_was_there_before_goes_on(host: Host) -> None:
    install = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    host.check_output(f"{install} certbot docker.io docker-cli nginx")
    host.check_output("echo 'server { listen 8081; return 200 admin; }' >/etc/nginx/conf.d/admin.conf")
    host.check_output("systemctl reload nginx")
    for name in ("admin.example.com", "whisper.uninstall.localhost"):
        folders = f"archive/{name} live/{name} renewal"
        host.check_output(f"cd /etc/letsencrypt && mkdir --parents {folders} && touch renewal/{name}.conf")
    configuration = host.file("/etc/nginx/nginx.conf").content_string
    before = packages(host)
    playbook("site.yml", "--tags", "docker,certificates,nginx")
    assert host.file("/etc/nginx/nginx.conf").content_string != configuration
    assert packages(host) - before
    uninstall("--extra-vars", "uninstall_data=true")
    assert packages(host) == before
    assert host.file("/etc/nginx/nginx.conf").content_string == configuration
    assert host.check_output("curl --silent --show-error http://127.0.0.1:8081") == "admin"
    certificates = host.check_output("cd /etc/letsencrypt && find * -name 'admin*' -o -name 'whisper*' | sort").split()
    assert certificates == ["archive/admin.example.com", "live/admin.example.com", "renewal/admin.example.com.conf"]
    assert host.service("docker").is_running
    assert not host.file("/etc/docker/daemon.json").exists
    assert not host.file("/var/lib/whisper-services.packages").exists


def test_no_package_goes_without_a_note(host: Host) -> None:
    """As on a host that an earlier version deployed, which wrote none."""
    before = packages(host)
    assert "changed=0" in uninstall("--extra-vars", "uninstall_data=true")
    assert packages(host) == before
    assert host.service("nginx").is_running
