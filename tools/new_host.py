"""Creates an inventory for a server, with generated secrets: `make host NAME=srv1.example.com ADDRESS=192.0.2.10`."""

from __future__ import annotations

import argparse
import re
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tools.credentials import Credentials, make_credentials

INVENTORIES = Path(__file__).parents[1] / "inventory"
EXAMPLE = INVENTORIES / "example"

USER = "admin"
VAULT_PASSWORD_BYTES = 32
BACKUP_PASSPHRASE_BYTES = 24

# RFC 1123, section 2.1, in lower case, and at least one dot; what roles/certificates takes.
_DOMAIN = re.compile(r"(?=.{1,240}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])")
_ADDRESS = re.compile(r"[A-Za-z0-9.:_-]+")

_NEXT = """\
{folder} was created. Next steps:

1. Create DNS records for whisper.{name}, whisperx.{name} and portal.{name} that point to the server.
2. Store a copy of {password_file} in your password manager: git ignores it, and without it the secrets are lost.
3. Deploy:

     ansible-playbook site.yml -i {folder} --vault-password-file {password_file}

Show the user, the password and the API key for your clients, and the passphrase for backups:

     ansible-vault view {vault} --vault-password-file {password_file}

Settings are in {folder}/group_vars. You can commit the whole folder to git, because the vault is encrypted."""


class NotMade(Exception):
    """Why no inventory was created, as a message for the administrator."""


def add_host(name: str, address: str, inventories: Path = INVENTORIES) -> Path:
    """Create the folder ``inventories/name`` atomically and return it.

    Raises:
        NotMade: the name is not a domain name, the address is invalid, or the folder exists.
    """
    if not _DOMAIN.fullmatch(name):
        example = "lowercase letters, digits, hyphens and at least one dot, such as srv1.example.com"
        raise NotMade(f"'{name}' is not a domain name. Use {example}.")
    if address and not _ADDRESS.fullmatch(address):
        raise NotMade(f"'{address}' is neither an IP address nor a host name for SSH.")
    folder = inventories / name
    if folder.exists():
        raise NotMade(
            f"{folder} already exists, and its secrets may be in use. Remove it first, or choose another name."
        )
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=inventories) as draft:
        _fill(Path(draft) / name, name, address)
        (Path(draft) / name).rename(folder)
    return folder


def _fill(folder: Path, name: str, address: str) -> None:
    variables = {"ansible_host": address} if address else {}
    hosts = {"whisper_services": {"hosts": {name: {**variables, "ansible_user": "root"}}}}
    host_vars = folder / "host_vars" / name
    host_vars.mkdir(parents=True)
    (folder / "hosts.yml").write_text(f"---\n{yaml.safe_dump(hosts, sort_keys=False)}", encoding="utf-8")
    shutil.copytree(EXAMPLE / "group_vars", folder / "group_vars")
    password = secrets.token_urlsafe(VAULT_PASSWORD_BYTES)
    _write_secret(folder / ".vault-password", f"{password}\n")
    vault = VaultLib([("default", VaultSecret(password.encode()))])
    _write_secret(host_vars / "vault.yml", vault.encrypt(_vault(make_credentials(USER))).decode())


def _vault(credentials: Credentials) -> str:
    """The text of vault.yml."""
    secret_variables = {
        "vault_nginx_basic_users": [{"name": credentials.user, "hash": credentials.password_hash, "admin": True}],
        "vault_nginx_api_keys": [{"name": f"{credentials.user}-key", "key": credentials.api_key, "admin": True}],
        "vault_backup_passphrase": secrets.token_urlsafe(BACKUP_PASSPHRASE_BYTES),
    }
    # The password itself is for the administrator: no role reads it.
    return f"---\n# The password of {credentials.user}: {credentials.password}\n{yaml.safe_dump(secret_variables)}"


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make host", description=__doc__)
    parser.add_argument("name", help="the server's domain; the services are served at names below it")
    parser.add_argument("address", nargs="?", default="", help="address for SSH, if it differs from the name")
    arguments = parser.parse_args()
    try:
        folder = add_host(arguments.name, arguments.address)
    except NotMade as reason:
        print(reason, file=sys.stderr)
        return 1
    shown = folder.relative_to(INVENTORIES.parent)
    vault = shown / "host_vars" / arguments.name / "vault.yml"
    print(_NEXT.format(folder=shown, name=arguments.name, password_file=shown / ".vault-password", vault=vault))
    return 0


if __name__ == "__main__":
    sys.exit(main())
