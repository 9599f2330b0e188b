"""Writes an inventory, or one host's part of it, to the standard output as a tar archive, gzip compressed.

Runs on the control node. The only argument is a JSON object: `folder` of the inventory; `sources`, the inventory as
passed to Ansible; `host`, the host to pack, or null for the whole folder.

A host's part are its variables, those of its groups, a `hosts.yml` without other hosts, and the vault password
that `make host` wrote: without it nobody could read the encrypted variables.
"""

import json
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.yaml.dumper import AnsibleDumper

NAME = "inventory"
"""The folder in the archive."""

# Endings that a file or folder of variables may have.
EXTENSIONS = ("", ".yml", ".yaml", ".json")
VAULT_PASSWORD = ".vault-password"  # noqa: S105 - the name of a file
# Set by Ansible: the file in which it found the host.
NOTES = ("inventory_dir", "inventory_file")


def inventory_of(sources: list[str], name: str) -> dict[str, Any]:
    """The groups of a host as an inventory file has them, without the variables of group_vars and host_vars.

    Raises:
        SystemExit: the host is in no source that can be read without the vault password.
    """
    host = InventoryManager(loader=DataLoader(), sources=sources).get_host(name)
    if host is None:
        sys.exit(f"{name} is not in {', '.join(sources)}, as far as it can be read without the vault password")
    groups = {group.name: group for group in host.get_groups()}
    inventory: dict[str, Any] = {
        group.name: {
            "hosts": {name: {}} if host in group.hosts else {},
            "children": {child.name: {} for child in group.child_groups if child.name in groups},
            "vars": group.vars,
        }
        for group in groups.values()
    }
    inventory["all"]["hosts"] = {name: {key: value for key, value in host.vars.items() if key not in NOTES}}
    return inventory


def add_host(archive: tarfile.TarFile, folder: Path, sources: list[str], name: str) -> None:
    inventory = inventory_of(sources, name)
    paths = [Path("host_vars") / name, *(Path("group_vars") / group for group in inventory)]
    for path in [Path(VAULT_PASSWORD), *(path.with_name(path.name + end) for path in paths for end in EXTENSIONS)]:
        if (folder / path).exists():
            archive.add(folder / path, str(NAME / path))
    text = yaml.dump(inventory, Dumper=AnsibleDumper, sort_keys=False, allow_unicode=True).encode()
    entry = tarfile.TarInfo(f"{NAME}/hosts.yml")
    entry.size, entry.mode = len(text), 0o600
    archive.addfile(entry, BytesIO(text))


def main() -> None:
    wanted = json.loads(sys.argv[1])
    # Symlinks would point to nothing where the archive is unpacked.
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz", dereference=True) as archive:
        if wanted["host"] is None:
            archive.add(wanted["folder"], NAME)
        else:
            add_host(archive, Path(wanted["folder"]), wanted["sources"], wanted["host"])


if __name__ == "__main__":
    main()
