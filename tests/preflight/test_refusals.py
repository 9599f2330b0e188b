"""What is wrong is said in one clear message before anything on the host changes.

A fresh server of the test bed, used for nothing else, is every host of an inventory, and each has other variables that
are wrong. `playbooks/preflight.yml`, with which `site.yml` begins, checks all of them in one run. What only a whole
`site.yml` can show is in test_site.py.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.preflight.conftest import HOST, WRONG_TOKEN, changed_files, write_inventory
from tests.preflight.runs import Report, play, run


@dataclass(frozen=True)
class Case:
    """Variables that are wrong, and words that the message must have: the variable or the fact, and the mend."""

    name: str
    variables: Mapping[str, Any]
    words: list[str] = field(default_factory=list)
    alone: bool = False
    """Whether it keeps other mistakes of its host from being found."""


AUTOSTARTED = {"host": "a.example.com", "compose_dir": "/opt/a", "containers": ["a"], "proxy_port": 8001}

CASES = [
    Case(
        "nobody may come in",
        {"nginx_api_keys": [], "nginx_basic_users": []},
        ["nginx_basic_users", "nginx_api_keys"],
        alone=True,
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
    Case(
        "a user without a hash", {"nginx_basic_users": [{"name": "alice"}]}, ["hash", "nginx_basic_users"], alone=True
    ),
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
    Case("a domain that is none", {"site_domain": "my server"}, ["'whisper.my server'", "site_domain"], alone=True),
    # The others that roles/certificates refuses are in test_certificates.py.
    Case(
        "an unknown source of certificates",
        {"certificates_source": "acme"},
        ["certificates_source", "must be one of", "letsencrypt"],
        alone=True,
    ),
    Case("an address that is none", {"certificates_email": "admin"}, ["certificates_email is 'admin'"]),
    Case(
        "a disk that is too small", {"docker_free_space_required": 100_000}, ["GiB free", "docker_free_space_required"]
    ),
    Case("an unknown device", {"whisper_faster_device": "tpu"}, ["whisper_faster_device", "must be one of", "cpu"]),
    Case("a state that is none", {"docker_state": "gone"}, ["docker_state", "present, absent"], alone=True),
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
    Case("packages that are not there", {"packages_archive": "/nowhere.tar"}, ["packages_archive is /nowhere.tar"]),
    Case(
        "wheels of the daemon that are not there",
        {"autostart_wheels_folder": "/nowhere"},
        ["autostart_wheels_folder is /nowhere", "can reach PyPI"],
    ),
    Case(
        "certificates of Let's Encrypt without the internet",
        {"bundle_archive": "/nowhere.tar"},
        ["without internet access", "certificates_source", "selfsigned or provided"],
        alone=True,
    ),
    Case(
        "an archive to deploy from that is not there",
        {"bundle_archive": "/nowhere.tar", "certificates_source": "selfsigned"},
        ["/nowhere.tar does not exist", "make bundle"],
        alone=True,
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
        ["hardening_sysctls", "containers have no network"],
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


MODEL = "models/models--Systran--faster-whisper-small/refs/main"


@dataclass(frozen=True)
class Archive:
    """An archive to deploy from that does not fit, and words of the message."""

    name: str
    distribution: str
    files: list[str]
    words: str
    damage: bytes = b"packages"

    def variables(self, folder: Path) -> dict[str, Any]:
        """Make the archive in this folder; return the variables of a host that is deployed from it."""
        for file in ["note", *self.files]:
            path = folder / "content" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"content of {file}".encode())
        archive = folder / "archive.tar"
        pack = [sys.executable, "roles/bundle/files/bundle.py", "pack", "--distribution", self.distribution]
        assert run(*pack, "--architecture", "x86_64", str(folder / "content"), str(archive)).returncode == 0
        archive.write_bytes(archive.read_bytes().replace(b"content of packages", b"content of " + self.damage))
        return {"bundle_archive": str(archive), "certificates_source": "selfsigned", "whisperx_state": "absent"}


ARCHIVES = [
    Archive("another distribution", "ubuntu 24", [], "is for ubuntu 24 on x86_64, the host is debian 13 on x86_64"),
    Archive(
        "damaged",
        "debian 13",
        ["packages.tar"],
        "damaged or incomplete (packages.tar missing or changed)",
        damage=b"DAMAGED!",
    ),
    Archive("no packages", "debian 13", [], "packages_archive is"),
    Archive("another model", "debian 13", ["packages.tar", "wheels/a.whl"], "has no Systran/faster-whisper-small"),
    Archive(
        "another version",
        "debian 13",
        ["packages.tar", "wheels/a.whl", MODEL],
        "the image of faster-whisper that this checkout deploys with these variables",
    ),
]


@dataclass(frozen=True)
class Check:
    """The report on all hosts, and the files of the server before and after."""

    report: Report
    hosts: Mapping[str, str]
    """Name of a case or an archive → its host."""
    before: set[str]
    after: set[str]


def share_hosts(cases: Iterable[Case]) -> list[list[Case]]:
    """Group cases of different variables: what is wrong with a host is reported all at once."""
    hosts: list[list[Case]] = []
    for case in cases:
        sharing = (
            host
            for host in hosts
            if not any(other.alone or other.variables.keys() & case.variables.keys() for other in host)
        )
        host = None if case.alone else next(sharing, None)
        if host is None:
            hosts.append([case])
        else:
            host.append(case)
    return hosts


@pytest.fixture(scope="module")
def check(server: str, tmp_path_factory: pytest.TempPathFactory) -> Check:
    variables: dict[str, dict[str, Any]] = {HOST: {}}
    hosts: dict[str, str] = {}
    for number, cases in enumerate(share_hosts(CASES)):
        host = f"srv{number}.example.org"
        hosts |= {case.name: host for case in cases}
        variables[host] = {name: value for case in cases for name, value in case.variables.items()}
    for number, archive in enumerate(ARCHIVES):
        host = hosts[archive.name] = f"archive{number}.example.org"
        variables[host] = archive.variables(tmp_path_factory.mktemp("archive"))
    inventory = write_inventory(tmp_path_factory.mktemp("refusals") / "inventory", variables)
    before = changed_files(server)
    report = play("playbooks/preflight.yml", inventory)
    return Check(report, hosts, before, changed_files(server))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wrong_variables(check: Check, case: Case) -> None:
    host = check.hosts[case.name]
    assert check.report.refused(host, *case.words), check.report.messages[host]


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name)
def test_an_archive_to_deploy_from_that_does_not_fit(check: Check, archive: Archive) -> None:
    host = check.hosts[archive.name]
    assert check.report.refused(host, archive.words), check.report.messages[host]


def test_diarization_without_a_token_is_said_and_refuses_nothing(check: Check) -> None:
    message = " ".join(check.report.messages[HOST])
    assert f"WARNING: {HOST} gets WhisperX without diarization" in message
    assert "https://huggingface.co/pyannote/speaker-diarization-community-1" in message
    assert HOST not in check.report.failed


def test_the_checks_change_nothing(check: Check) -> None:
    assert check.after == check.before
