"""One run at a time: a second one is refused, that of a run that was killed is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tools.role_readme import ROLES

PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: deployment_lock
    - ansible.builtin.copy:
        content: ""
        dest: "{{ began }}"
    - ansible.builtin.wait_for:
        path: "{{ may_end }}"
        timeout: 60
        sleep: 1
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: deployment_lock
    - ansible.builtin.import_role:
        name: deployment_lock
        tasks_from: release
"""


class Deployment:
    """A run that takes the lock, twice, and goes on until it may end."""

    def __init__(self, lock: Path, folder: Path) -> None:
        folder.mkdir()
        self.began, self.may_end = folder / "began", folder / "may_end"
        playbook = folder / "playbook.yml"
        playbook.write_text(PLAYBOOK, encoding="utf-8")
        variables = {
            "__deployment_lock_file": str(lock),
            "began": str(self.began),
            "may_end": str(self.may_end),
            "ansible_python_interpreter": sys.executable,
        }
        command = ["ansible-playbook", str(playbook), "--inventory", "localhost,", "--connection", "local"]
        environment = {"ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_LOCALHOST_WARNING": "false"}
        self.process = subprocess.Popen(
            [*command, "--extra-vars", json.dumps(variables)],
            cwd=ROLES.parent,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A shell starts what is to run in the background with SIGINT ignored, and all that it starts inherits that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait_until_it_began(self) -> None:
        for _ in range(300):
            if self.began.exists():
                return
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.1)
        raise AssertionError("the run did not get the lock within 30 s")

    def end(self) -> tuple[int, str]:
        """The exit status, and all it printed as one line."""
        self.may_end.touch()
        printed, _ = self.process.communicate(timeout=60)
        return self.process.returncode, " ".join(printed.split())


@contextmanager
def deployment(lock: Path, folder: Path) -> Iterator[Deployment]:
    run = Deployment(lock, folder)
    with run.process:
        try:
            yield run
        finally:
            run.process.kill()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "deployment.lock"


def test_a_second_run_is_refused_and_says_whose_the_first_is(lock: Path, tmp_path: Path) -> None:
    with deployment(lock, tmp_path / "first") as first, deployment(lock, tmp_path / "second") as second:
        # Which of the two is quicker is not ours to say.
        for _ in range(300):
            if first.began.exists() or second.began.exists():
                break
            time.sleep(0.1)
        winner, loser = (first, second) if first.began.exists() else (second, first)
        status, printed = loser.end()
        assert status != 0
        assert "Another run deploys to localhost" in printed
        assert f"process {winner.process.pid}, since" in printed
        status, printed = winner.end()
        assert status == 0, printed
    assert lock.read_text() == "", "released at the end"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_lock_of_a_run_that_was_killed_is_taken_over(lock: Path, tmp_path: Path, how: signal.Signals) -> None:
    with deployment(lock, tmp_path / "killed") as killed:
        killed.wait_until_it_began()
        # Again, as a person would: Ansible loses a Ctrl-C that comes while Python deletes an object.
        while killed.process.poll() is None:
            killed.process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                killed.process.wait(timeout=5)
        killed.may_end.touch()
        assert lock.read_text().endswith(f" {killed.process.pid}")
        with deployment(lock, tmp_path / "next") as following:
            status, printed = following.end()
            assert status == 0, printed


def test_that_of_another_control_machine_is_left_alone_and_the_message_says_what_to_do(
    lock: Path, tmp_path: Path
) -> None:
    lock.write_text("alice@laptop 4711")
    with deployment(lock, tmp_path / "ours") as ours:
        status, printed = ours.end()
    assert status != 0
    assert "alice@laptop, process 4711" in printed
    assert f"delete {lock}" in printed
    assert lock.read_text() == "alice@laptop 4711"
