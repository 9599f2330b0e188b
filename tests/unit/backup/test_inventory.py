"""What the copy of an inventory has, and that a restore takes it out of archives of earlier versions."""

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

FILES = Path(__file__).parents[3] / "roles/backup/files"
PASSWORD = "vault-password-of-all"
OTHERS = [b"inline-secret-b", b"secret-of-group-two", b"10.0.0.2", b"file-of-b", b"b.example.com"]


def encrypted(text: str) -> str:
    vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
    return str(vault.encrypt(text), "utf-8")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Two hosts, secrets of theirs and of their groups, wherever Ansible reads variables from."""
    folder = tmp_path / "folder"
    inline = "".join(f"            {line}\n" for line in encrypted("inline-vault-a").splitlines())
    texts = {
        ".vault-password": PASSWORD,
        "hosts.yml": "all:\n  children:\n    parent: {children: {one: {}, two: {}}}\n"
        "    one:\n      vars: {of_group: one}\n      hosts:\n        a.example.com:\n"
        f"          inline: inline-secret-a\n          vaulted: !vault |\n{inline}"
        "    two:\n      vars: {of_group: secret-of-group-two}\n      hosts:\n"
        "        b.example.com: {inline: inline-secret-b, ansible_host: 10.0.0.2}\n",
        "group_vars/all.yml": "common: 1",
        "group_vars/parent/main.yml": "of_parent: 2",
        "group_vars/one.yaml": "more: 3",
        "group_vars/two.yml": "more: secret-of-group-two",
        "host_vars/a.example.com/vault.yml": encrypted("own: vault-secret-a"),
        "host_vars/a.example.com.yml": "plain: 4",
        "host_vars/b.example.com/vault.yml": encrypted("own: vault-secret-b"),
        "host_vars/b.example.com/ca.pem": "file-of-b",
        "files/key-of-b.pem": "file-of-b",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def pack(folder: Path, host: str | None) -> subprocess.CompletedProcess[bytes]:
    wanted = json.dumps({"folder": str(folder), "sources": [str(folder)], "host": host})
    return subprocess.run([sys.executable, FILES / "pack_inventory.py", wanted], capture_output=True, check=False)


def opened(packed: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive if entry.isreg()}
        return {name: file.read() for name, file in files.items() if file}


def test_a_host_gets_what_concerns_it_and_nothing_of_another(inventory: Path) -> None:
    done = pack(inventory, "a.example.com")
    assert done.returncode == 0, done.stderr
    files = opened(done.stdout)
    assert set(files) == {
        "inventory/.vault-password",
        "inventory/hosts.yml",
        "inventory/host_vars/a.example.com.yml",
        "inventory/host_vars/a.example.com/vault.yml",
        "inventory/group_vars/all.yml",
        "inventory/group_vars/one.yaml",
        "inventory/group_vars/parent/main.yml",
    }
    assert [secret for secret in OTHERS if secret in b"".join(files.values())] == []


def test_the_copy_is_an_inventory_with_the_same_variables(inventory: Path, tmp_path: Path) -> None:
    archive = pack(inventory, "a.example.com").stdout
    subprocess.run(["tar", "--extract", "--gzip", "--directory", tmp_path], input=archive, check=True)

    def variables(folder: Path) -> object:
        command = ["ansible-inventory", "--inventory", str(folder), "--host", "a.example.com"]
        environment = {**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / ".vault-password")}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
        return json.loads(done.stdout)

    copied = variables(tmp_path / "inventory")
    assert copied == variables(inventory)
    assert isinstance(copied, dict)
    assert copied["own"] == "vault-secret-a"
    assert copied["of_group"] == "one"


def test_the_whole_inventory_has_everything(inventory: Path) -> None:
    files = opened(pack(inventory, None).stdout)
    assert files == {
        f"inventory/{path.relative_to(inventory)}": path.read_bytes() for path in inventory.rglob("*") if path.is_file()
    }


def test_what_a_link_leads_to_is_there(inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/main.yml").write_text("shared: 5", encoding="utf-8")
    (inventory / "group_vars/one").symlink_to(tmp_path / "shared")
    assert opened(pack(inventory, "a.example.com").stdout)["inventory/group_vars/one/main.yml"] == b"shared: 5"


def test_a_host_that_ansible_does_not_find_is_no_empty_archive(inventory: Path) -> None:
    (inventory / "hosts.yml").write_text(encrypted(yaml.safe_dump({"all": {"hosts": {"a.example.com": {}}}})))
    done = pack(inventory, "a.example.com")
    assert done.returncode != 0
    assert b"a.example.com is not in" in done.stderr


def filtered(**members: str) -> subprocess.CompletedProcess[bytes]:
    written = BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, text in members.items():
            entry = tarfile.TarInfo(name.replace("__", "/").replace("manifest", "manifest.json"))
            entry.size, entry.mtime, entry.uid, entry.mode = len(text), 1_000_000_000, 1234, 0o640
            archive.addfile(entry, BytesIO(text.encode()))
    script = FILES / "without_inventory.py"
    return subprocess.run([sys.executable, script], input=written.getvalue(), capture_output=True, check=False)


def test_a_restore_sends_no_inventory_and_all_else_as_it_was() -> None:
    done = filtered(manifest="{}", inventory__hosts="secret", paths__etc__inventory="kept")
    assert done.returncode == 0, done.stderr
    assert opened(done.stdout) == {"manifest.json": b"{}", "paths/etc/inventory": b"kept"}
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        entry = archive.getmember("paths/etc/inventory")
    assert (entry.mtime, entry.uid, entry.mode) == (1_000_000_000, 1234, 0o640)


def test_the_copy_of_an_inventory_is_not_restored_as_a_host() -> None:
    done = filtered(inventory__hosts="secret")
    assert done.returncode != 0
    assert b".tar.gz.gpg" in done.stderr


def test_a_file_that_could_not_be_decrypted_is_said_to_be_none() -> None:
    done = subprocess.run([sys.executable, FILES / "without_inventory.py"], input=b"", capture_output=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith(b"it is not a tar archive")
    assert b"Traceback" not in done.stderr
