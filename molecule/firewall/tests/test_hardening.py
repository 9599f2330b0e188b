"""What is hardened on the host, and that Docker and ssh go on."""

import subprocess
from collections.abc import Callable

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper-firewall"]


@pytest.mark.parametrize(
    "line",
    ["passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin without-password"],
)
def test_sshd_takes_keys_alone(host: Host, line: str) -> None:
    assert line in host.check_output("/usr/sbin/sshd -T").splitlines()


def test_security_updates_are_installed_and_nobody_reboots(host: Host) -> None:
    assert host.package("unattended-upgrades").is_installed
    configuration = host.check_output("apt-config dump").splitlines()
    assert 'APT::Periodic::Unattended-Upgrade "1";' in configuration
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in configuration


def test_only_the_containers_own_parameters_are_set(host: Host) -> None:
    lines = host.file("/etc/sysctl.d/60-whisper-services.conf").content_string.splitlines()
    names = [line.partition("=")[0].strip() for line in lines]
    assert names
    assert [name for name in names if not name.startswith("net.")] == []
    assert host.sysctl("net.ipv4.conf.all.accept_redirects") == 0
    assert host.sysctl("net.ipv4.ip_forward") == 1


def test_taken_back_sshd_takes_passwords_as_before(
    host: Host, deploy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    deployment = deploy(firewall_state="absent", hardening_state="absent")
    assert deployment.returncode == 0, deployment.stdout
    assert "passwordauthentication yes" in host.check_output("/usr/sbin/sshd -T").splitlines()
    assert "52whisper-services-upgrades" not in host.check_output("ls /etc/apt/apt.conf.d")
    assert not host.file("/etc/sysctl.d/60-whisper-services.conf").exists
