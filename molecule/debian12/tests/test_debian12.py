"""A Debian 12 server, from inside and through its public address."""

import os
from pathlib import Path

import requests
from testinfra.host import Host

URL = "https://portal.debian12.localhost:30443"
AUTHORITY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.pem")
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}


def test_it_is_debian_12(host: Host) -> None:
    assert host.system_info.release.startswith("12")


def test_the_portal_is_for_those_with_a_key() -> None:
    assert requests.get(f"{URL}/", verify=AUTHORITY, timeout=10).status_code == 401
    answer = requests.get(f"{URL}/", headers=KEY, verify=AUTHORITY, timeout=10)
    assert answer.status_code == 200
    assert "<html" in answer.text


def test_the_firewall_is_in_force_now_and_after_a_reboot(host: Host) -> None:
    assert "table inet whisper_services" in host.check_output("nft list ruleset")
    assert host.service("whisper-services-firewall").is_enabled


def test_services_run_now_and_after_a_reboot(host: Host) -> None:
    for name in ("nginx", "fail2ban"):
        assert host.service(name).is_running, name
        assert host.service(name).is_enabled, name


def test_security_updates_are_installed_by_themselves(host: Host) -> None:
    options = host.check_output("apt-config dump APT::Periodic")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in options
