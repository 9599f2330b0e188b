"""Writes an inventory, or what it says of one host, to the standard output as a tar archive, gzip compressed.

Runs on the control machine. The only argument is a JSON object: `folder` of the inventory; `sources`, the inventory as
Ansible was given it; `host`, the host that it is about, or null for the whole folder.

What concerns a host are its variables, those of its groups, a `hosts.yml` without other hosts, and the vault password
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

# What a file or folder of variables may be called besides its host or group.
EXTENSIONS = ("", ".yml", ".yaml", ".json")
VAULT_PASSWORD = ".vault-password"  # noqa: S105 - the name of a file
# Ansible's own notes, in which file it found the host.
NOTES = ("inventory_dir", "inventory_file")


def inventory_of(sources: list[str], name: str) -> dict[str, Any]:
    """The groups of a host as an inventory file has them, without the variables of group_vars and host_vars.

    Raises:
        SystemExit: no source that can be read without the vault's password has the host.
    """
    host = InventoryManager(loader=DataLoader(), sources=sources).get_host(name)
    if host is None:
        sys.exit(f"{name} is not in {', '.join(sources)} as it reads without the vault's password")
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
    # Links would lead nowhere where the archive is opened.
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz", dereference=True) as archive:
        if wanted["host"] is None:
            archive.add(wanted["folder"], NAME)
        else:
            add_host(archive, Path(wanted["folder"]), wanted["sources"], wanted["host"])


if __name__ == "__main__":
    main()
