"""Copies a backup's tar archive, gzip compressed, from the standard input to the output, without its `inventory`.

Earlier versions packed the secrets of all hosts there, and the restored host must not get them.
"""

import sys
import tarfile
from pathlib import PurePosixPath


def copy() -> set[str]:
    """Return the names of the copied members."""
    names = set()
    with (
        tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as source,
        tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz") as target,
    ):
        for entry in source:
            if PurePosixPath(entry.name).parts[0] != "inventory":
                target.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
                names.add(entry.name)
    return names


def main() -> None:
    try:
        names = copy()
    except tarfile.TarError as reason:
        sys.exit(f"it is not a tar archive: {reason}")
    if "manifest.json" not in names:
        sys.exit("it is not a backup of a host's data, which is in the file that ends in .tar.gz.gpg")


if __name__ == "__main__":
    main()
