"""Whether the data volume has space left."""

import errno
import shutil
import sqlite3
from pathlib import Path

# Kept free for the decoded audio of accepted recordings (115 MB per hour), jobs and logs; less on a small disk.
_RESERVED_BYTES = 256 * 1024**2
_RESERVED_SHARE = 0.1


def has_space(folder: Path, size: int) -> bool:
    """Whether the folder's file system can take `size` more bytes without using the reserve."""
    disk = shutil.disk_usage(folder)
    return disk.free - size >= min(_RESERVED_BYTES, disk.total * _RESERVED_SHARE)


def is_full_disk(error: BaseException) -> bool:
    """Whether this is the operating system's or SQLite's error for a full disk."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
