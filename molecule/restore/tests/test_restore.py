"""A backup and what becomes of it. The tests run in this order, on two hosts."""

import os
import secrets
import subprocess
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from testinfra.host import Host

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
CLIP = PROJECT / ".cache/speech/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
OLD, NEW = "whisper-restore-old", "whisper-restore-new"
PORTS = {OLD: 23443, NEW: 24443}
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
PASSPHRASE = "molecule-passphrase"
VAULT_PASSWORD = secrets.token_hex()
# The certificate itself bears the name of the host in the inventory, which here is another one: that key signs it anew.
AUTHORITY_KEY = "/etc/ssl/whisper-services/ca/privkey.pem"


def host_of(server: str) -> Host:
    return testinfra.get_host(f"docker://{server}")


def playbook(name: str, server: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a playbook on a server; the exit status, and all it printed as one line."""
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], f"playbooks/{name}.yml"]
    command += ["--limit", f"localhost,{server}", *arguments]
    environment = os.environ | {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles")} | environment
    done = subprocess.run(command, cwd=PROJECT, env=environment, check=False, capture_output=True, text=True)
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


def openpgp(stdin: bytes, passphrase: str, *arguments: str) -> bytes:
    options = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase]
    # Its agent ends with the folder.
    with tempfile.TemporaryDirectory() as keyring:
        command = ["gpg", "--homedir", keyring, *options, *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout


def contents(archive: Path, passphrase: str) -> dict[str, bytes]:
    """Name → content of the files in an encrypted archive."""
    with tarfile.open(fileobj=BytesIO(openpgp(archive.read_bytes(), passphrase, "--decrypt"))) as opened:
        files = {entry.name: opened.extractfile(entry) for entry in opened if entry.isreg()}
        return {name: file.read() for name, file in files.items() if file}


def of_an_earlier_version(archive: Path) -> Path:
    """The same archive as c159a5b made it: with all of the inventory in it, after the manifest."""
    written = BytesIO()
    with (
        tarfile.open(fileobj=BytesIO(openpgp(archive.read_bytes(), PASSPHRASE, "--decrypt"))) as source,
        tarfile.open(fileobj=written, mode="w:gz") as target,
    ):
        for entry in source:
            target.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
            if entry.name == "manifest.json":
                secret = tarfile.TarInfo("inventory/.vault-password")
                secret.size = len(VAULT_PASSWORD)
                target.addfile(secret, BytesIO(VAULT_PASSWORD.encode()))
    earlier = EPHEMERAL / "backups/earlier.gpg"
    earlier.write_bytes(openpgp(written.getvalue(), PASSPHRASE, "--symmetric", "--cipher-algo", "AES256"))
    return earlier


def record(folder: Path) -> dict[str, str]:
    """The environment in which all that Ansible sends over ssh, files too, is also written to a file for each host."""
    recorder = folder / "ssh"
    recorder.write_text(
        "#!/bin/bash\n"
        f"for word; do case $word in {OLD} | {NEW}) host=$word ;; esac; done\n"
        f'exec ssh "$@" < <(exec tee -a "{folder}/sent-to-$host" 2>/dev/null)\n'
    )
    recorder.chmod(0o700)
    return {"ANSIBLE_SSH_EXECUTABLE": str(recorder), "ANSIBLE_SSH_TRANSFER_METHOD": "piped"}


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
    assert "backup_passphrase is not the one that it was encrypted with" in printed
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


def test_newer_data_is_not_lost_unless_told(job: str, tmp_path: Path) -> None:
    """Then by an archive of an earlier version, of whose inventory nothing is sent."""
    newer = finished_job(NEW)
    archive = f"backup_archive={archives()[0]}"
    status, printed = playbook("restore", NEW, "--extra-vars", archive)
    assert status != 0
    assert "has data that is newer than" in printed
    assert "backup_overwrite=true" in printed
    assert ask(NEW, "GET", f"/jobs/{newer}").status_code == 200
    earlier = of_an_earlier_version(archives()[0])
    arguments = ["--extra-vars", f"backup_archive={earlier} backup_overwrite=true"]
    status, printed = playbook("restore", NEW, *arguments, **record(tmp_path))
    assert status == 0, printed[-3000:]
    assert list(earlier.parent.glob(".restore-*")) == []
    sent = (tmp_path / f"sent-to-{NEW}").read_bytes()
    assert PASSPHRASE.encode() in sent
    assert earlier.read_bytes() not in sent, "with the inventory in it"
    assert ask(NEW, "GET", f"/jobs/{newer}").status_code == 404
    assert ask(NEW, "GET", f"/jobs/{job}").status_code == 200


def test_a_restore_goes_to_one_host() -> None:
    status, printed = playbook("restore", f"{OLD},{NEW}", "--extra-vars", f"backup_archive={archives()[0]}")
    assert status != 0
    assert "A backup is restored to a single host" in printed


VAULT = VaultLib([("default", VaultSecret(VAULT_PASSWORD.encode()))])


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of both hosts, each with secrets in its vault, in hosts.yml and in a file, and with the vault password."""
    folder = tmp_path_factory.mktemp("inventory")
    passphrase = {"backup_passphrase": "{{ vault_passphrase }}"}
    hosts = {server: {"inline": secrets.token_hex(), **passphrase} for server in (OLD, NEW)}
    ssh = f"-F {PROJECT}/testbed/ssh_config -i {PROJECT}/.cache/testbed/id_ed25519"
    variables = {"ansible_ssh_common_args": ssh, "backup_directory": str(folder / "backups")}
    for server in hosts:
        (folder / "host_vars" / server).mkdir(parents=True)
        text = yaml.safe_dump({"vault_passphrase": secrets.token_hex(), "vault_secret": secrets.token_hex()})
        (folder / "host_vars" / server / "vault.yml").write_bytes(VAULT.encrypt(text))
        (folder / "host_vars" / server / "key.pem").write_text(secrets.token_hex())
    (folder / "hosts.yml").write_text(yaml.safe_dump({"whisper_services": {"hosts": hosts, "vars": variables}}))
    (folder / ".vault-password").write_text(VAULT_PASSWORD)
    return folder


def secrets_of(inventory: Path, server: str) -> dict[str, str]:
    """What is in the inventory for this server alone, and its vault as it is encrypted."""
    vault = (inventory / "host_vars" / server / "vault.yml").read_bytes()
    opened: dict[str, str] = yaml.safe_load(VAULT.decrypt(vault))
    hosts = yaml.safe_load((inventory / "hosts.yml").read_text())["whisper_services"]["hosts"]
    key = (inventory / "host_vars" / server / "key.pem").read_text()
    return {**opened, "inline": hosts[server]["inline"], "key": key, "encrypted": vault.decode().splitlines()[1]}


def test_no_host_gets_the_inventory(inventory: Path, tmp_path: Path) -> None:
    """After a backup of both, in all that was sent to the first one, in every file of it, and in its journal."""
    environment = record(tmp_path) | {
        "ANSIBLE_ROLES_PATH": str(PROJECT / "roles"),
        "ANSIBLE_VAULT_PASSWORD_FILE": str(inventory / ".vault-password"),
    }
    command = ["ansible-playbook", "--inventory", str(inventory), "playbooks/backup.yml", "-vvv", "--diff"]
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    own = secrets_of(inventory, OLD)
    passphrase = own.pop("vault_passphrase")
    hidden = [VAULT_PASSWORD, *own.values(), *secrets_of(inventory, NEW).values()]

    sent = (tmp_path / f"sent-to-{OLD}").read_text(errors="replace")
    assert passphrase in sent, "what gpg gets on the host is not in the record, so nothing is"
    assert [secret for secret in hidden if secret in sent] == []

    host, planted = host_of(OLD), secrets.token_hex()
    host.check_output("echo %s >/root/planted", planted)
    words = " ".join(f"-e {word}" for word in [planted, passphrase, *hidden])
    files = f"grep -rohaF --devices=skip --exclude-dir=proc --exclude-dir=sys {words} /"
    found = host.run(f"{files}; journalctl --all | grep -oF {words}")
    assert found.stdout.split() == [planted], found.stderr


def test_the_copy_of_the_inventory_has_what_concerns_the_host(inventory: Path) -> None:
    """And its passphrase opens all of it."""
    (archive,) = (inventory / "backups").glob(f"{OLD}-*.inventory.tgz.gpg")
    own, others = secrets_of(inventory, OLD), secrets_of(inventory, NEW)
    files = contents(archive, own["vault_passphrase"])
    text = b"".join(files.values()).decode()
    assert [secret for secret in [NEW, *others.values()] if secret in text] == []
    password = files["inventory/.vault-password"]
    vault = VaultLib([("default", VaultSecret(password))])
    opened = yaml.safe_load(vault.decrypt(files[f"inventory/host_vars/{OLD}/vault.yml"]))
    assert opened["vault_secret"] == own["vault_secret"]
    assert own["inline"] in files["inventory/hosts.yml"].decode()
    assert files[f"inventory/host_vars/{OLD}/key.pem"].decode() == own["key"]
