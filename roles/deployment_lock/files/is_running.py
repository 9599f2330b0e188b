"""Exits with 0 if the Ansible run with the given process id is active, with 1 if it has ended."""

import os
import sys
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether the process exists and, as far as can be seen, belongs to Ansible."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # A process of another user.
        return True
    # Linux only. Empty for a zombie process.
    command_line = Path(f"/proc/{pid}/cmdline")
    return not command_line.exists() or b"ansible" in command_line.read_bytes()


if __name__ == "__main__":
    sys.exit(0 if is_running(int(sys.argv[1])) else 1)
