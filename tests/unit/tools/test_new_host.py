"""`make host`: an inventory with secrets of its own, that a deployment takes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tools.new_host import NotMade, add_host

NAME = "srv1.example.com"


def secrets_of(folder: Path) -> str:
    """The vault, decrypted by the password beside it."""
    password = (folder / ".vault-password").read_bytes().strip()
    encrypted = (folder / "host_vars" / NAME / "vault.yml").read_bytes()
    assert encrypted.startswith(b"$ANSIBLE_VAULT;")
    decrypted: bytes = VaultLib([("default", VaultSecret(password))]).decrypt(encrypted)
    return decrypted.decode()


def variables_of(folder: Path) -> dict[str, Any]:
    """What Ansible knows of the host."""
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(folder), "--host", NAME]
    command += ["--vault-password-file", str(folder / ".vault-password")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    known: dict[str, Any] = json.loads(done.stdout)
    return known


def test_ansible_reads_the_host_and_its_secrets(tmp_path: Path) -> None:
    variables = variables_of(add_host(NAME, "192.0.2.10", tmp_path))
    assert variables["ansible_host"] == "192.0.2.10"
    (user,) = variables["vault_nginx_basic_users"]
    (key,) = variables["vault_nginx_api_keys"]
    assert key["name"] != user["name"]
    assert (user["admin"], key["admin"]) == (True, True)
    assert re.fullmatch(r"[0-9a-f]{64}", key["key"])
    assert re.fullmatch(r"\$6\$(rounds=5000\$)?[A-Za-z0-9]{16}\$[A-Za-z0-9./]{86}", user["hash"])


def test_the_hash_is_that_of_the_password_in_the_comment(tmp_path: Path) -> None:
    text = secrets_of(add_host(NAME, "", tmp_path))
    password = re.findall(r"^# The password of admin: ([A-Za-z0-9]{24})$", text, re.MULTILINE)[0]
    stored = yaml.safe_load(text)["vault_nginx_basic_users"][0]["hash"]
    salt = stored.split("$")[-2]
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", salt, "-stdin"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert made == stored.replace("rounds=5000$", "")


def test_every_host_has_secrets_of_its_own_for_its_owner_alone(tmp_path: Path) -> None:
    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folders.append(add_host(NAME, "", tmp_path / name))
    texts = [secrets_of(folder) + (folder / ".vault-password").read_text() for folder in folders]
    values = [set(re.findall(r"[A-Za-z0-9_/.-]{24,}", text)) for text in texts]
    assert all(values)
    assert not values[0] & values[1]
    for path in (folders[0] / ".vault-password", folders[0] / "host_vars" / NAME / "vault.yml"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_host_that_is_there_is_not_touched(tmp_path: Path) -> None:
    before = secrets_of(add_host(NAME, "", tmp_path))
    with pytest.raises(NotMade, match="already exists"):
        add_host(NAME, "192.0.2.10", tmp_path)
    assert secrets_of(tmp_path / NAME) == before


@pytest.mark.parametrize(
    "name", ["", "srv1", "SRV1.example.com", "../srv1.example.com", "-a.example.com", "a..b", "a.b "]
)
def test_a_name_that_is_no_domain_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotMade, match="is not a domain name"):
        add_host(name, "", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotMade, match="neither an IP address"):
        add_host(NAME, "192.0.2.10 -oProxyCommand=x", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_password_of_the_vault_is_not_for_git() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "inventory/srv1.example.com/.vault-password"],
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert ignored.returncode == 0
