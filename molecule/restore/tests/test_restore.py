"""A backup and what becomes of it. The tests run in this order, on two hosts."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
from testinfra.host import Host

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
CLIP = PROJECT / ".cache/speech/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
OLD, NEW = "whisper-restore-old", "whisper-restore-new"
PORTS = {OLD: 23443, NEW: 24443}
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
PASSPHRASE = "molecule-passphrase"
# The certificate itself bears the name of the host in the inventory, which here is another one: that key signs it anew.
AUTHORITY_KEY = "/etc/ssl/whisper-services/ca/privkey.pem"


def host_of(server: str) -> Host:
    return testinfra.get_host(f"docker://{server}")


def playbook(name: str, server: str, *arguments: str) -> tuple[int, str]:
    """Run a playbook on a server; the exit status, and all it printed as one line."""
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], f"playbooks/{name}.yml"]
    command += ["--limit", f"localhost,{server}", *arguments]
    roles = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles")}
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | roles, check=False, capture_output=True, text=True)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def ask(server: str, method: str, path: str, **options: Any) -> requests.Response:
    url = f"https://whisper.restore.localhost:{PORTS[server]}{path}"
    headers = KEY | options.pop("headers", {})
    return requests.request(method, url, headers=headers, verify=str(EPHEMERAL / "ca.pem"), timeout=120, **options)


def finished_job(server: str) -> str:
    """The id of a job that the server did."""
    with CLIP.open("rb") as file:
        sent = ask(
            server,
            "POST",
            "/v1/audio/transcriptions",
            headers={"Prefer": "respond-async"},
            files={"file": file},
            data={"model": "whisper-1", "language": "en"},
        )
    assert sent.status_code == 202, sent.text
    job: str = sent.json()["id"]
    for _ in range(120):
        if ask(server, "GET", f"/jobs/{job}").json()["status"] == "completed":
            return job
        time.sleep(0.5)
    raise AssertionError(f"job {job} of {server} was not done within a minute")


@pytest.fixture(scope="module")
def job() -> str:
    """A job that the old server did."""
    return finished_job(OLD)


def archives() -> list[Path]:
    return sorted((EPHEMERAL / "backups").glob(f"{OLD}-*.tar.gz.gpg"))


def test_a_short_passphrase_is_refused() -> None:
    status, printed = playbook("backup", OLD, "--extra-vars", "backup_passphrase=short")
    assert status != 0
    assert "backup_passphrase of whisper-restore-old has fewer than 12 characters" in printed
    assert archives() == []


def test_a_backup_is_one_encrypted_file(job: str) -> None:
    status, printed = playbook("backup", OLD, "-vvv", "--diff")
    assert status == 0, printed[-3000:]
    assert PASSPHRASE not in printed
    (archive,) = archives()
    assert archive.stat().st_size < 10_000_000, "models are left out"
    assert job.encode() not in archive.read_bytes()
    assert not host_of(OLD).file("/var/lib/whisper-services/backup").exists
    assert host_of(OLD).run("pgrep gpg-agent").rc == 1


def test_a_wrong_passphrase_changes_nothing_on_the_new_host() -> None:
    arguments = ["--extra-vars", f"backup_archive={archives()[0]} backup_passphrase=another-passphrase"]
    status, printed = playbook("restore", NEW, *arguments)
    assert status != 0
    assert "was not restored, and nothing was changed" in printed
    assert "backup_passphrase is not the one it was made with" in printed
    assert not host_of(NEW).file("/etc/ssl/whisper-services").exists


def test_the_new_host_has_what_the_old_one_had(job: str) -> None:
    status, printed = playbook("restore", NEW, "--extra-vars", f"backup_archive={archives()[0]}", "-vvv", "--diff")
    assert status == 0, printed[-3000:]
    assert PASSPHRASE not in printed
    answer = ask(NEW, "GET", f"/jobs/{job}")
    assert answer.status_code == 200, answer.text
    assert "leisure to consider" in answer.json()["result"]["text"]
    assert host_of(NEW).file(AUTHORITY_KEY).content == host_of(OLD).file(AUTHORITY_KEY).content
    assert not host_of(NEW).file("/var/lib/whisper-services/backup").exists


def test_newer_data_is_not_lost_unless_told(job: str) -> None:
    newer = finished_job(NEW)
    archive = f"backup_archive={archives()[0]}"
    status, printed = playbook("restore", NEW, "--extra-vars", archive)
    assert status != 0
    assert "has data that is newer than" in printed
    assert "backup_overwrite=true" in printed
    assert ask(NEW, "GET", f"/jobs/{newer}").status_code == 200
    status, printed = playbook("restore", NEW, "--extra-vars", f"{archive} backup_overwrite=true")
    assert status == 0, printed[-3000:]
    assert ask(NEW, "GET", f"/jobs/{newer}").status_code == 404
    assert ask(NEW, "GET", f"/jobs/{job}").status_code == 200


def test_a_restore_goes_to_one_host() -> None:
    status, printed = playbook("restore", f"{OLD},{NEW}", "--extra-vars", f"backup_archive={archives()[0]}")
    assert status != 0
    assert "A backup is that of one host" in printed
