"""What is hardened on the host, that Docker and ssh go on, and that nobody is locked out.

The tests run in this order, on one server.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper-firewall"]

SERVER = "whisper-firewall"
KEY = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache/testbed/id_ed25519"
OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
AUTHORIZED_KEYS = "/home/alice/.ssh/authorized_keys"
SSHD_FILE = "/etc/ssh/sshd_config.d/10-whisper-services.conf"
TRIAL_FILE = "/etc/tmpfiles.d/whisper-services-sshd-trial.conf"

Deploy = Callable[..., subprocess.CompletedProcess[str]]
Address = Callable[[], str]


@pytest.fixture(scope="module")
def operator(host: Host) -> str:
    """A user with sudo, a password, and keys besides the one of the test bed."""
    host.check_output("useradd --create-home --shell /bin/bash alice")
    host.check_output("echo alice:alice-password | chpasswd")
    host.check_output("echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice")
    # The tests fail to log in more often than people do, and would be kept out for a while.
    host.check_output("echo PerSourcePenalties no >/etc/ssh/sshd_config.d/tests.conf; systemctl reload ssh.service")
    return "alice"


def authorize(host: Host, options: str = "") -> None:
    """Let the key of the test bed log the operator in, with these options, beside another key that has none."""
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAvmXuNjjXJdK9ADJ8w1fFjJBpUvJp8Yw1zTgSzKVuYc another"
    lines = f"{other}\n{options} {KEY.with_suffix('.pub').read_text(encoding='utf-8')}"
    host.check_output("install --directory --owner=alice --mode=0700 /home/alice/.ssh")
    host.check_output("printf %%s %s >%s", lines, AUTHORIZED_KEYS)


def ssh(address: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", "none", *OPTIONS, *arguments, f"alice@{address}", "true"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def methods(address: str) -> str:
    """What the sshd that runs offers to authenticate with."""
    refused = ssh(address, "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none")
    found = re.search(r"Permission denied \((.*)\)", refused.stderr)
    assert found, refused.stderr
    return found[1]


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


def test_taken_back_sshd_takes_passwords_as_before(host: Host, deploy: Deploy) -> None:
    deployment = deploy(firewall_state="absent", hardening_state="absent")
    assert deployment.returncode == 0, deployment.stdout
    assert "passwordauthentication yes" in host.check_output("/usr/sbin/sshd -T").splitlines()
    assert "whisper-services" not in host.check_output("ls /etc/ssh/sshd_config.d /etc/tmpfiles.d")
    assert "52whisper-services-upgrades" not in host.check_output("ls /etc/apt/apt.conf.d")
    assert not host.file("/etc/sysctl.d/60-whisper-services.conf").exists


def test_a_login_by_password_leaves_passwords_on(host: Host, deploy: Deploy, address: Address, operator: str) -> None:
    authorize(host)
    arguments = " ".join([*OPTIONS, "-o", "PubkeyAuthentication=no"])
    by_password = {"ansible_password": "alice-password", "ansible_ssh_common_args": arguments}
    deployment = deploy("hardening", ansible_user=operator, **by_password)
    assert deployment.returncode == 0, deployment.stdout
    assert methods(address()) == "publickey,password"
    assert "was left as it is" in deployment.stdout


@pytest.mark.parametrize(
    "options",
    ['from="*"', 'expiry-time="20991231"', 'command="exec sh -c \\"$SSH_ORIGINAL_COMMAND\\""'],
    ids=["from", "expiry-time", "command"],
)
def test_a_key_with_restrictions_leaves_passwords_on(
    host: Host, deploy: Deploy, address: Address, operator: str, options: str
) -> None:
    authorize(host, options)
    deployment = deploy("hardening", ansible_user=operator)
    assert deployment.returncode == 0, deployment.stdout
    assert methods(address()) == "publickey,password"
    assert "was left as it is" in deployment.stdout


def test_passwords_come_back_where_no_second_connection_succeeds(
    host: Host, deploy: Deploy, address: Address, operator: str
) -> None:
    """The key is taken away as soon as passwords are off."""
    authorize(host)
    once = f"until [ -e {SSHD_FILE} ]; do sleep 0.05; done; mv {AUTHORIZED_KEYS} /root/"
    host.check_output("systemd-run --unit=mishap sh -c %s", once)
    deployment = deploy("hardening", ansible_user=operator, hardening_rollback_timeout=20)
    assert deployment.returncode != 0
    assert "no second connection to it succeeded" in " ".join(deployment.stdout.split())
    assert methods(address()) == "publickey", "the timer was too early for this test"
    deadline = time.monotonic() + 20
    while methods(address()) != "publickey,password":
        assert time.monotonic() < deadline, "the timer did not let passwords in again"
        time.sleep(1)
    assert not host.file(SSHD_FILE).exists
    assert not host.file(TRIAL_FILE).exists


def test_passwords_come_back_where_the_server_goes_down_during_the_trial(
    host: Host, deploy: Deploy, address: Address, operator: str
) -> None:
    authorize(host)
    once = f"until [ -e {SSHD_FILE} ]; do sleep 0.05; done; systemctl poweroff --force"
    host.check_output("systemd-run --unit=power-cut sh -c %s", once)
    assert deploy("hardening", ansible_user=operator, hardening_rollback_timeout=10).returncode != 0
    subprocess.run(["docker", "start", SERVER], check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while host.run("systemctl is-system-running").stdout.strip() != "running":
        assert time.monotonic() < deadline, "the server did not boot"
        time.sleep(1)
    assert methods(address()) == "publickey,password"


def test_a_login_by_key_turns_passwords_off_for_good(
    host: Host, deploy: Deploy, address: Address, operator: str
) -> None:
    authorize(host)
    deployment = deploy("hardening", ansible_user=operator, hardening_rollback_timeout=20)
    assert deployment.returncode == 0, deployment.stdout
    assert "was left as it is" not in deployment.stdout
    time.sleep(21)
    assert methods(address()) == "publickey"
    assert host.run("systemctl is-active whisper-services-sshd-rollback.timer").stdout.strip() == "inactive"
    assert not host.file(TRIAL_FILE).exists


def test_a_second_run_changes_nothing(deploy: Deploy, operator: str) -> None:
    deployment = deploy("hardening", ansible_user=operator)
    assert deployment.returncode == 0, deployment.stdout
    assert re.search(r"changed=0 ", deployment.stdout), deployment.stdout


def test_a_run_that_proves_nothing_leaves_passwords_off(
    host: Host, deploy: Deploy, address: Address, operator: str
) -> None:
    authorize(host, 'from="*"')
    deployment = deploy("hardening", ansible_user=operator)
    assert deployment.returncode == 0, deployment.stdout
    assert methods(address()) == "publickey"
    assert "was left as it is" in deployment.stdout


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an ssh agent with five other keys before the one that logs in."""
    environment = {"SSH_AUTH_SOCK": str(tmp_path / "agent")}
    process = subprocess.Popen(["ssh-agent", "-D", "-a", environment["SSH_AUTH_SOCK"]], stdout=subprocess.DEVNULL)
    others = [tmp_path / f"key-{number}" for number in range(5)]
    for other in others:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    while not Path(environment["SSH_AUTH_SOCK"]).exists():
        time.sleep(0.05)
    subprocess.run(["ssh-add", "-q", *others, KEY], env={**os.environ, **environment}, check=True)
    yield environment
    process.terminate()
    process.wait()


@pytest.mark.usefixtures("operator")
def test_several_keys_in_an_agent_do_not_lock_out(host: Host, address: Address, agent: dict[str, str]) -> None:
    authorize(host)
    entered = ssh(address(), "-o", "BatchMode=yes", **agent)
    assert entered.returncode == 0, entered.stderr
