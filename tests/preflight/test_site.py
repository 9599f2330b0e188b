"""A whole `site.yml` stops with its checks, and prints no secret.

test_refusals.py has what the checks refuse. Here are refusals of different kinds, what is wrong with the server itself
or with the whole inventory, and what is printed.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.preflight.conftest import HOST, WRONG_TOKEN, changed_files, write_inventory
from tests.preflight.runs import ROOT, Report, play, run

CHECKS = [play["name"] for play in yaml.safe_load((ROOT / "playbooks/preflight.yml").read_text())]


def refused(inventory: Path, server: str) -> Report:
    """Run site.yml, which must refuse all hosts and change nothing: none of its plays after the checks may begin."""
    before = changed_files(server)
    report = play("site.yml", inventory)
    assert changed_files(server) == before
    assert report.plays == CHECKS
    hosts = json.loads((inventory / "hosts.yml").read_text())["whisper_services"]["hosts"]
    assert report.failed == hosts.keys()
    return report


def printed_by_refused(inventory: Path, *options: str) -> str:
    """Run site.yml, which must fail, and return all that its users see, as one line."""
    done = run("ansible-playbook", "site.yml", "--inventory", str(inventory), *options)
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, printed
    return printed


def test_hosts_with_mistakes_of_all_kinds(tmp_path: Path, server: str) -> None:
    """One mistake on each host, and one host with a mistake for each of five roles."""
    kinds: dict[str, dict[str, Any]] = {
        "unreachable.example.com": {"ansible_host": "nowhere.invalid", "ansible_ssh_common_args": ""},
        "spec.example.com": {"whisper_faster_device": "tpu"},
        "assertion.example.com": {"nginx_key_requests_per_second": 0},
        "file.example.com": {"verify_recording": "/nowhere.wav"},
        "archive.example.com": {"bundle_archive": "/nowhere.tar", "certificates_source": "selfsigned"},
        "five.example.com": {
            "docker_free_space_required": 100_000,
            "firewall_tcp_ports": [70000],
            "whisper_faster_memory": "two",
            "nginx_key_requests_per_second": 0,
            "verify_recording": "/nowhere.wav",
        },
    }
    report = refused(write_inventory(tmp_path / "inventory", kinds), server)
    host = "unreachable.example.com"
    words = [f"{host} cannot be reached", "Check ansible_host, ansible_user and ansible_port"]
    assert report.refused(host, *words), report.refusals

    [message] = report.refusals["five.example.com"]
    for variable in kinds["five.example.com"]:
        assert len([line for line in message.splitlines() if variable in line]) == 1, message


def test_a_missing_vault(tmp_path: Path, server: str) -> None:
    inventory = write_inventory(tmp_path / "inventory", {HOST: {}})
    (inventory / "host_vars" / HOST / "vault.yml").unlink()
    report = refused(inventory, server)
    assert report.refused(HOST, f"are not set for {HOST}", "vault.yml"), report.refusals


LISTEN = """
import socket, sys
listeners = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def listener(server: str, *ports: int) -> Iterator[None]:
    """While this lasts, a program of the server listens on the ports."""
    command = ["docker", "exec", "--interactive", server, "python3", "-c", LISTEN, *map(str, ports)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert program.stdout.readline() == "up\n"
        yield  # the end of its input, which Popen closes, ends it


@pytest.fixture(scope="module")
def taken_ports(tmp_path_factory: pytest.TempPathFactory, server: str) -> Report:
    inventory = write_inventory(tmp_path_factory.mktemp("ports") / "inventory", {HOST: {}})
    with listener(server, 80, 443, 8001, 8002, 8890):
        return refused(inventory, server)


@pytest.mark.parametrize(
    ("port", "program"),
    [(443, "nginx"), (80, "nginx"), (8001, "whisper_faster_port"), (8002, "whisperx_port"), (8890, "autostart_port")],
)
def test_a_taken_port(taken_ports: Report, port: int, program: str) -> None:
    assert taken_ports.refused(HOST, f":{port} ", "python3", program), taken_ports.refusals


def test_an_unsupported_distribution(tmp_path: Path, server: str) -> None:
    release = run("docker", "exec", server, "cat", "/etc/os-release").stdout
    older = release.replace('VERSION_ID="13"', 'VERSION_ID="11"').replace("13 (trixie)", "11 (bullseye)")
    write = ["docker", "exec", "--interactive", server, "sh", "-c"]
    run(
        *write,
        "cat > /etc/os-release; mv /etc/debian_version /etc/debian_version.kept; echo 11.9 > /etc/debian_version",
        input=older,
    )
    try:
        report = refused(write_inventory(tmp_path / "inventory", {HOST: {}}), server)
    finally:
        run(*write, "cat > /etc/os-release; mv /etc/debian_version.kept /etc/debian_version", input=release)
    assert report.refused(HOST, "runs Debian 11, which is not supported", "Debian 13"), report.refusals


@pytest.mark.usefixtures("server")
def test_a_token_is_never_printed(tmp_path: Path) -> None:
    """Neither when it is refused nor when something else is, however much Ansible is asked to say."""
    right_token = "hf_0123456789abcdef"
    hosts = {
        "wrong.example.com": {"whisperx_hf_token": WRONG_TOKEN},
        "right.example.com": {"whisperx_hf_token": right_token, "verify_recording": "/nowhere.wav"},
    }
    printed = printed_by_refused(write_inventory(tmp_path / "inventory", hosts), "-vvv")
    assert "begin with hf_" in printed
    assert "verify_recording is /nowhere.wav" in printed
    assert WRONG_TOKEN not in printed
    assert right_token not in printed


def test_an_empty_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("{}")
    printed = printed_by_refused(tmp_path)
    assert "no host in the group whisper_services" in printed
    assert "or create one with `make host`" in printed


@pytest.mark.parametrize("given", [None, "wrong"])
def test_a_vault_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    inventory = write_inventory(tmp_path / "inventory", {HOST: {}})
    vault = inventory / "host_vars" / HOST / "vault.yml"
    right = tmp_path / "right"
    right.write_text("right")
    assert run("ansible-vault", "encrypt", "--vault-password-file", str(right), str(vault)).returncode == 0
    if given:
        wrong = tmp_path / "wrong"
        wrong.write_text(given)
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(wrong))
    printed = printed_by_refused(inventory)
    assert f"{vault} is encrypted" in printed
    assert "--ask-vault-pass" in printed
