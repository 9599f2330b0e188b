"""A copy of the project from which a test deploys another version of the server."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
# What a deployment reads.
PARTS = ("ansible.cfg", "group_vars", "images", "playbooks", "roles", "site.yml", "vars")


class Checkout:
    """The files of the project that git knows or would know, in a new folder, and the inventory that it deploys to."""

    def __init__(self, folder: Path, inventory: Path) -> None:
        self._folder = folder
        self._inventory = inventory
        list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", *PARTS]
        listed = subprocess.run(list_files, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
        for name in listed.rstrip("\0").split("\0"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target, follow_symlinks=False)

    def add_to_server(self, lines: str, file: str = "server.py") -> None:
        """Make another version of the server of faster-whisper by lines at the end of one of its files."""
        with (self._folder / "images/whisper_faster" / file).open("a", encoding="utf-8") as end:
            end.write(lines)

    def start(self, playbook: str, *arguments: str, log: Path) -> "Run":
        """Begin to run a playbook, with all that it prints in the log."""
        command = ["ansible-playbook", playbook, "--inventory", str(self._inventory), *arguments]
        # Molecule asks for colours, which would be part of what is looked at.
        own = {
            "ANSIBLE_ROLES_PATH": str(self._folder / "roles"),
            "ANSIBLE_FORCE_COLOR": "false",
            "ANSIBLE_NOCOLOR": "1",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # As in a terminal. What a shell starts in the background ignores SIGINT, and all that it starts.
                process_group=0,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return Run(process, log)

    def run(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Run a playbook; the exit status, and all that it printed as one line."""
        return self.start(playbook, *arguments, log=self._folder / "ansible.log").end()


class Run:
    """A playbook that runs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def wait_for(self, printed: str, seconds: float = 300) -> None:
        """Wait until this was printed. Raises RuntimeError when the run ends before, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while printed not in self._log.read_text(encoding="utf-8"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no {printed!r} was printed: {self._log.read_text(encoding='utf-8')[-3000:]}")
            time.sleep(0.1)

    def press_ctrl_c(self) -> None:
        """Send what a terminal sends to a process group on Ctrl-C, until it has ended.

        Ansible does not hear one that comes while Python deletes an object (`Exception ignored in ... __del__`).
        """
        while self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the end; the exit status. Raises subprocess.TimeoutExpired when it goes on after so many seconds."""
        try:
            return self.process.wait(seconds)
        except KeyboardInterrupt:
            self.press_ctrl_c()
            raise

    def end(self) -> tuple[int, str]:
        """Wait for the end; the exit status, and all that was printed as one line."""
        status = self.wait()
        return status, " ".join(self._log.read_text(encoding="utf-8").split())
