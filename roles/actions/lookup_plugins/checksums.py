"""`checksums`: the files below folders on the control node, except those whose names match `excludes`.

Returns one dictionary per file: `folder`, `name` (the path below it) and `checksum` (SHA-256), sorted by name.
"""

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: checksums
short_description: Files below folders on the control node
description: The files below folders on the control node, with their SHA-256.
options:
  _terms: {description: The folders., required: true}
  excludes: {description: Patterns of file names to leave out., type: list, elements: str, default: []}
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    def run(
        self, terms: Sequence[str], variables: dict[str, Any] | None = None, **options: object
    ) -> list[dict[str, str]]:
        self.set_options(var_options=variables, direct=options)
        excludes = self.get_option("excludes")
        found = []
        for folder in map(Path, terms):
            if not folder.is_dir():
                raise AnsibleLookupError(f"There is no folder {folder} on the control node.")
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink() and not any(fnmatch(path.name, name) for name in excludes):
                    with path.open("rb") as content:
                        checksum = hashlib.file_digest(content, "sha256").hexdigest()
                    found.append({"folder": str(folder), "name": str(path.relative_to(folder)), "checksum": checksum})
        return sorted(found, key=lambda file: file["name"])
