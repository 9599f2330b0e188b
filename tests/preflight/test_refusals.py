"""What is wrong is said in one clear message before anything on the host changes.

Every case deploys `site.yml` to a fresh server of the test bed that is used for nothing else.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERVER = "whisper-preflight"
SSH = f"-F {ROOT}/testbed/ssh_config -i {ROOT}/.cache/testbed/id_ed25519"
EXAMPLE = ROOT / "inventory/example"
HOST = "srv1.example.com"

# What Ansible itself leaves on every host that it talks to, and what /tmp is for.
ANSIBLE_OWN = ("/root", "/tmp", "/var/tmp", "/run")  # noqa: S108 - paths of the server, compared with, never written


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


def bed(playbook: str) -> None:
    instances = json.dumps({"testbed_instances": [{"name": SERVER}]})
    done = run("ansible-playbook", f"testbed/{playbook}.yml", "--extra-vars", instances)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Name of a fresh server in a container."""
    bed("destroy")
    bed("create")
    yield SERVER
    bed("destroy")


@pytest.fixture
def inventory(tmp_path: Path, server: str) -> Path:
    """The example inventory, with the fresh server in it."""
    folder = tmp_path / "inventory"
    shutil.copytree(EXAMPLE, folder)
    hosts = {HOST: {"ansible_host": server, "ansible_ssh_common_args": SSH}}
    (folder / "hosts.yml").write_text(json.dumps({"whisper_services": {"hosts": hosts}}))
    return folder


def changed_files(server: str) -> set[str]:
    """Files that differ from the server's image."""
    lines = run("docker", "diff", server).stdout.splitlines()
    return {line[2:] for line in lines if not line[2:].startswith(ANSIBLE_OWN)}


def deploy(inventory: Path, variables: Mapping[str, Any], *options: str) -> str:
    """Run site.yml and return all it printed, as one line; it must fail."""
    done = run("ansible-playbook", "site.yml", "-i", str(inventory), "--extra-vars", json.dumps(variables), *options)
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, printed
    return printed


@dataclass(frozen=True)
class Case:
    """Variables that are wrong, and words that the message must have: the variable or the fact, and the mend."""

    name: str
    variables: Mapping[str, Any]
    words: list[str] = field(default_factory=list)


WRONG_TOKEN = "hf-of-somebody"
AUTOSTARTED = {"host": "a.example.com", "compose_dir": "/opt/a", "containers": ["a"], "proxy_port": 8001}

CASES = [
    Case(
        "nobody may come in", {"nginx_api_keys": [], "nginx_basic_users": []}, ["nginx_basic_users", "nginx_api_keys"]
    ),
    Case(
        "a key that is too short",
        {"nginx_api_keys": [{"name": "laptop", "key": "short"}]},
        ["'laptop' of nginx_api_keys", "at least 32", "openssl rand -hex 32"],
    ),
    Case(
        "a password in place of its hash",
        {"nginx_basic_users": [{"name": "alice", "hash": "secret"}]},
        ["'alice' of nginx_basic_users", "openssl passwd -6"],
    ),
    Case("a user without a hash", {"nginx_basic_users": [{"name": "alice"}]}, ["hash", "nginx_basic_users"]),
    Case(
        "a limit that lets nobody in",
        {"nginx_key_requests_per_second": 0},
        ["nginx_key_requests_per_second is 0", "at least 1"],
    ),
    Case(
        "two users of one name",
        {"nginx_basic_users": [{"name": "a", "hash": "$6$a$b"}, {"name": "a", "hash": "$6$a$c"}]},
        ["'a' of nginx_basic_users", "no other user"],
    ),
    Case(
        "a user and a key of one name",
        {
            "nginx_basic_users": [{"name": "laptop", "hash": "$6$a$b"}],
            "nginx_api_keys": [{"name": "laptop", "key": "0" * 64}],
        },
        ["'laptop' of nginx_basic_users", "no key of nginx_api_keys", "jobs belong to a name"],
    ),
    Case("a domain that is none", {"site_domain": "my server"}, ["'whisper.my server'", "site_domain"]),
    # The others that roles/certificates refuses are in test_certificates.py.
    Case(
        "an unknown source of certificates",
        {"certificates_source": "acme"},
        ["certificates_source", "must be one of", "letsencrypt"],
    ),
    Case("an address that is none", {"certificates_email": "admin"}, ["certificates_email is 'admin'"]),
    Case(
        "a disk that is too small", {"docker_free_space_required": 100_000}, ["GiB free", "docker_free_space_required"]
    ),
    Case("an unknown device", {"whisper_faster_device": "tpu"}, ["whisper_faster_device", "must be one of", "cpu"]),
    Case("a state that is none", {"docker_state": "gone"}, ["docker_state", "present, absent"]),
    Case(
        "a model that is none",
        {"whisper_faster_model": "small"},
        ["whisper_faster_model", "Systran/faster-whisper-small"],
    ),
    Case("a limit that is none", {"whisper_faster_memory": "two"}, ["whisper_faster_memory is 'two'", "2g"]),
    Case(
        "a folder without the model",
        {"whisper_faster_models_folder": "/nowhere"},
        ["whisper_faster_models_folder", "/nowhere", "hf download"],
    ),
    Case("a model of WhisperX that is none", {"whisperx_model": "huge"}, ["whisperx_model", "large-v2", "'huge'"]),
    Case(
        "a language that is none",
        {"whisperx_alignment_languages": ["French"]},
        ["whisperx_alignment_languages", "'French'"],
    ),
    Case(
        "alignment models that a folder cannot have",
        {"whisperx_models_folder": "/nowhere", "whisperx_alignment_languages": ["en", "fr", "pt=acme/pt"]},
        ["whisperx_models_folder", "en and fr", "fr=ORGANISATION/NAME"],
    ),
    Case(
        "a diarization model that is none",
        {"whisperx_diarize_model": "community-1"},
        ["whisperx_diarize_model", "pyannote/speaker-diarization-community-1", "absolute path"],
    ),
    Case(
        "a diarization pipeline that is not there",
        {"whisperx_diarize_model": "/nowhere"},
        ["whisperx_diarize_model: /nowhere/config.yaml does not exist"],
    ),
    Case(
        "wheels that are not there",
        {"whisperx_wheels_folder": "/nowhere"},
        ["whisperx_wheels_folder: /nowhere does not exist", "pip download"],
    ),
    Case(
        "a token that is none",
        {"whisperx_hf_token": WRONG_TOKEN},
        ["whisperx_hf_token", "begin with hf_", "https://huggingface.co/settings/tokens"],
    ),
    Case(
        "an image archive that is not there",
        {"docker_image_archives": [{"name": "python:3.11-slim", "src": "/nowhere.tar"}]},
        ["docker_image_archives", "/nowhere.tar", "docker save"],
    ),
    Case("packages that are not there", {"packages_archive": "/nowhere.tar"}, ["packages_archive names /nowhere.tar"]),
    Case(
        "wheels of the daemon that are not there",
        {"autostart_wheels_folder": "/nowhere"},
        ["autostart_wheels_folder names /nowhere", "reaches PyPI"],
    ),
    Case(
        "certificates of Let's Encrypt without the internet",
        {"bundle_archive": "/nowhere.tar"},
        ["without the internet", "certificates_source", "selfsigned or provided"],
    ),
    Case(
        "an archive to deploy from that is not there",
        {"bundle_archive": "/nowhere.tar", "certificates_source": "selfsigned"},
        ["/nowhere.tar does not exist", "make bundle"],
    ),
    Case("a time that is none", {"autostart_idle_timeout": -1}, ["autostart_idle_timeout is -1", "0 for never"]),
    Case(
        "a start that waits for hours",
        {"autostart_services": [AUTOSTARTED | {"start_timeout": 3600}]},
        ["start_timeout of a.example.com in autostart_services is 3600", "from 1 to 600"],
    ),
    Case(
        "an unknown key of a service",
        {"autostart_services": [AUTOSTARTED | {"idleTimeout": 60}]},
        ["idleTimeout", "autostart_services", "Supported parameters include", "idle_timeout"],
    ),
    Case(
        "two services on one port",
        {"autostart_services": [AUTOSTARTED, AUTOSTARTED | {"host": "b.example.com", "containers": ["b"]}]},
        ["autostart_services have the same proxy_port", "8001"],
    ),
    Case("a port that is none", {"firewall_tcp_ports": [80, 70000]}, ["'70000'", "firewall_tcp_ports", "1 to 65535"]),
    Case(
        "hardening that would cut containers off",
        {"hardening_sysctls": {"net.ipv4.ip_forward": 0}},
        ["hardening_sysctls", "no container has a network"],
    ),
    Case(
        "a trial that is too short", {"hardening_rollback_timeout": 9}, ["hardening_rollback_timeout", "at least 10 s"]
    ),
    Case(
        "a service whose address is none",
        {"portal_services": [{"name": "whisper", "title": "Whisper", "url": "http://whisper/docs"}]},
        ["'whisper' of portal_services", "https://", "'http://whisper/docs'"],
    ),
    Case(
        "a variable of an earlier version",
        {"verify_url": "https://whisper.example.com"},
        ["verify_url is now verify_services", "Correct the inventory"],
    ),
    Case("a recording that is not there", {"verify_recording": "/nowhere.wav"}, ["verify_recording", "make models"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wrong_variables(inventory: Path, server: str, case: Case) -> None:
    before = changed_files(server)
    printed = deploy(inventory, case.variables)
    assert [word for word in case.words if word not in printed] == [], printed[-2000:]
    assert changed_files(server) == before


MODEL = "models/models--Systran--faster-whisper-small/refs/main"


@pytest.mark.parametrize(
    ("distribution", "files", "damage", "words"),
    [
        ("ubuntu 24", [], b"", "is for ubuntu 24 on x86_64, the host is debian 13 on x86_64"),
        ("debian 13", ["packages.tar"], b"DAMAGED!", "damaged or incomplete (packages.tar missing or not as packed)"),
        ("debian 13", [], b"", "packages_archive names"),
        ("debian 13", ["packages.tar", "wheels/a.whl"], b"", "has no Systran/faster-whisper-small"),
        (
            "debian 13",
            ["packages.tar", "wheels/a.whl", MODEL],
            b"",
            "the image of faster-whisper that this checkout deploys with these variables",
        ),
    ],
    ids=["another distribution", "damaged", "no packages", "another model", "another version"],
)
def test_an_archive_to_deploy_from_that_does_not_fit(
    inventory: Path, server: str, tmp_path: Path, distribution: str, files: list[str], damage: bytes, words: str
) -> None:
    content = tmp_path / "content"
    for name in ["note", *files]:
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_bytes(f"content of {name}".encode())
    archive = tmp_path / "archive.tar"
    pack = [sys.executable, "roles/bundle/files/bundle.py", "pack", "--distribution", distribution]
    assert run(*pack, "--architecture", "x86_64", str(content), str(archive)).returncode == 0
    archive.write_bytes(archive.read_bytes().replace(b"content of packages", b"content of " + (damage or b"packages")))
    before = changed_files(server)
    variables = {"bundle_archive": str(archive), "certificates_source": "selfsigned", "whisperx_state": "absent"}
    printed = deploy(inventory, variables)
    assert words in printed, printed[-2000:]
    assert changed_files(server) == before


def test_a_token_is_never_printed(inventory: Path) -> None:
    """Neither when it is refused nor when something else is, however much Ansible is asked to say."""
    for token, refused in (
        (WRONG_TOKEN, "begin with hf_"),
        ("hf_0123456789abcdef", "verify_recording is /nowhere.wav"),
    ):
        (inventory / "host_vars" / HOST / "token.yml").write_text(json.dumps({"whisperx_hf_token": token}))
        printed = deploy(inventory, {"verify_recording": "/nowhere.wav"}, "-vvv")
        assert refused in printed
        assert token not in printed


def test_diarization_without_a_token_is_said_and_refuses_nothing(inventory: Path) -> None:
    printed = deploy(inventory, {"verify_recording": "/nowhere.wav"})
    assert "WARNING: srv1.example.com gets WhisperX without diarization" in printed
    assert "https://huggingface.co/pyannote/speaker-diarization-community-1" in printed
    assert "verify_recording is /nowhere.wav" in printed, "the check after it failed, as it was meant to"


@pytest.mark.parametrize(
    ("port", "program"),
    [(443, "nginx"), (80, "nginx"), (8001, "whisper_faster_port"), (8002, "whisperx_port"), (8890, "autostart_port")],
)
def test_a_taken_port(inventory: Path, server: str, port: int, program: str) -> None:
    listen = f"import socket, time; s = socket.create_server(('', {port})); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen(
        ["docker", "exec", server, "timeout", "60", "python3", "-c", listen], stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout
        assert listener.stdout.readline() == "up\n"
        before = changed_files(server)
        printed = deploy(inventory, {})
        run("docker", "exec", server, "pkill", "-f", "create_server")
    assert f":{port} " in printed
    assert "python3" in printed
    assert program in printed
    assert changed_files(server) == before


def test_an_unsupported_distribution(inventory: Path, server: str) -> None:
    release = run("docker", "exec", server, "cat", "/etc/os-release").stdout
    older = release.replace('VERSION_ID="13"', 'VERSION_ID="11"').replace("13 (trixie)", "11 (bullseye)")
    write = ["docker", "exec", "--interactive", server, "sh", "-c"]
    run(
        *write,
        "cat > /etc/os-release; mv /etc/debian_version /etc/debian_version.kept; echo 11.9 > /etc/debian_version",
        input=older,
    )
    before = changed_files(server)
    printed = deploy(inventory, {})
    after = changed_files(server)
    run(*write, "cat > /etc/os-release; mv /etc/debian_version.kept /etc/debian_version", input=release)
    assert "runs Debian 11, which is not supported" in printed
    assert "Debian 13" in printed
    assert after == before


def test_an_unreachable_host(inventory: Path) -> None:
    hosts = {HOST: {"ansible_host": "nowhere.invalid"}}
    (inventory / "hosts.yml").write_text(json.dumps({"whisper_services": {"hosts": hosts}}))
    printed = deploy(inventory, {})
    assert f"{HOST} cannot be reached" in printed
    assert "Check ansible_host, ansible_user and ansible_port" in printed


def test_an_empty_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("{}")
    printed = deploy(tmp_path, {})
    assert "no host in the group whisper_services" in printed
    assert "inventory/example/hosts.yml" in printed


def test_a_missing_vault(inventory: Path, server: str) -> None:
    (inventory / "host_vars" / HOST / "vault.yml").unlink()
    before = changed_files(server)
    printed = deploy(inventory, {})
    assert f"are not set for {HOST}" in printed
    assert "vault.yml" in printed
    assert changed_files(server) == before


@pytest.mark.parametrize("given", [None, "wrong"])
def test_a_vault_without_its_password(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    vault = inventory / "host_vars" / HOST / "vault.yml"
    right = tmp_path / "right"
    right.write_text("right")
    assert run("ansible-vault", "encrypt", "--vault-password-file", str(right), str(vault)).returncode == 0
    if given:
        wrong = tmp_path / "wrong"
        wrong.write_text(given)
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(wrong))
    printed = deploy(inventory, {})
    assert f"{vault} is encrypted" in printed
    assert "--ask-vault-pass" in printed
