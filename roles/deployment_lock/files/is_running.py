"""Exits with 0 while the run of Ansible goes on whose process id is the only argument, with 1 when it has ended."""

import os
import sys
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether there is such a process, and as far as can be seen it is one of Ansible."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another user's.
        return True
    # Only Linux has it. That of a process that was killed and not yet waited for is empty.
    command_line = Path(f"/proc/{pid}/cmdline")
    return not command_line.exists() or b"ansible" in command_line.read_bytes()


if __name__ == "__main__":
    sys.exit(0 if is_running(int(sys.argv[1])) else 1)
