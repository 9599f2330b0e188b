"""The actions of our own: what they say of a host, what they change there, and that a second run changes nothing."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tools.role_readme import ROLES

OWNER = pwd.getpwuid(os.getuid()).pw_name

PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  roles: [actions]
  environment: {TOLD: "by the play"}
  tasks:
"""
TASK = """\
    - name: Act
      %s: %s
      register: answer
      ignore_errors: true
    - name: Note the answer
      ansible.builtin.set_fact:
        answers: "{{ answers | default([]) + [answer] }}"
"""
NOTE = """\
    - name: Note the answers
      ansible.builtin.copy:
        content: "{{ answers | to_json }}"
        dest: "{{ note }}"
      check_mode: false
"""

Task = tuple[str, Mapping[str, Any]]


class Play:
    """Runs actions on this machine; `printed` is what Ansible did."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pipelining = True
        self.printed = ""

    def __call__(self, *tasks: Task, options: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the results of the actions, in their order."""
        playbook, note = self._folder / "playbook.yml", self._folder / "note.json"
        acts = [TASK % (action, json.dumps(arguments)) for action, arguments in tasks]
        playbook.write_text(PLAYBOOK + "".join(acts) + NOTE, encoding="utf-8")
        variables = json.dumps({"note": str(note), "ansible_python_interpreter": sys.executable})
        command = ["ansible-playbook", str(playbook), "--inventory", "localhost,", "--connection", "local"]
        own = {
            "ANSIBLE_ROLES_PATH": str(ROLES),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_PIPELINING": str(self.pipelining),
            "PATH": f"{self._folder}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            [*command, "--extra-vars", variables, *options],
            cwd=self._folder,
            env=os.environ | own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.printed = done.stdout
        answers: list[dict[str, Any]] = json.loads(note.read_text(encoding="utf-8"))
        return answers


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def entry(path: Path, **others: str) -> dict[str, str]:
    return {"path": str(path), "owner": OWNER, "group": OWNER, **others}


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "as a module"])
def test_probe_tells_what_a_command_printed_in_check_mode_too(play: Play, pipelining: bool) -> None:
    play.pipelining = pipelining
    told, failed = play(
        ("probe", {"argv": ["sh", "-c", 'printf "%s\\n" "$1" "$TOLD"; echo aside >&2', "sh", "it's $HOME"]}),
        ("probe", {"argv": ["sh", "-c", "echo no such image >&2; exit 3"]}),
        options=["--check"],
    )
    assert told["stdout_lines"] == ["it's $HOME", "by the play"]
    assert (told["rc"], told["stderr"], told["changed"], told["failed"]) == (0, "aside", False, False)
    assert (failed["rc"], failed["failed"], failed["changed"]) == (3, True, False)
    assert "no such image" in failed["stderr"] + failed["msg"]


def test_files_makes_what_is_not_there_and_then_nothing(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    (tmp_path / "old").write_text("old", encoding="utf-8")
    entries = [
        entry(folder, state="directory", mode="0750"),
        entry(folder / "a file's", content="first\nséconde\n", mode="0640"),
        entry(folder / "empty", content=""),
        entry(folder / "link", state="link", target="a file's"),
        entry(tmp_path / "old", state="absent"),
    ]
    first, second = play(("files", {"entries": entries}), ("files", {"entries": entries}))
    assert first["changed_paths"] == [item["path"] for item in entries]
    assert (folder / "link").read_text(encoding="utf-8") == "first\nséconde\n"
    assert oct(folder.stat().st_mode) == "0o40750"
    assert oct((folder / "a file's").stat().st_mode) == "0o100640"
    assert (folder / "empty").read_bytes() == b""
    assert not (tmp_path / "old").exists()
    assert (second["changed"], second["changed_paths"]) == (False, [])


def test_files_mends_what_a_hand_changed(play: Play, tmp_path: Path) -> None:
    names = ["kept", "written", "opened", "linked", "gone"]
    files = {name: tmp_path / name for name in names}
    for file in files.values():
        file.write_text("as it should be\n", encoding="utf-8")
        file.chmod(0o644)
    files["written"].write_text("as it should bee", encoding="utf-8")
    files["opened"].chmod(0o666)
    files["linked"].rename(tmp_path / "other")
    files["linked"].symlink_to("other")
    files["gone"].unlink()
    (tmp_path / "link").symlink_to("elsewhere")
    entries = [entry(file, content="as it should be\n") for file in files.values()]
    entries.append(entry(tmp_path / "link", state="link", target="kept"))
    first, second = play(("files", {"entries": entries}), ("files", {"entries": entries}))
    assert first["changed_paths"] == [item["path"] for item in entries[1:]]
    assert {file.read_text(encoding="utf-8") for file in files.values()} == {"as it should be\n"}
    assert {oct(file.lstat().st_mode) for file in files.values()} == {"0o100644"}
    assert (tmp_path / "link").readlink() == Path("kept")
    assert not second["changed"]


def test_files_shows_the_difference_in_check_mode_and_changes_nothing(play: Play, tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("before\n", encoding="utf-8")
    entries = [entry(file, content="after\n"), entry(folder, state="directory")]
    (answer,) = play(("files", {"entries": entries}), options=["--check", "--diff"])
    assert answer["changed_paths"] == [str(file), str(folder)]
    assert "-before" in play.printed
    assert "+after" in play.printed
    assert file.read_text(encoding="utf-8") == "before\n"
    assert not folder.exists()


def test_files_refuses_what_is_wrong_and_says_what(play: Play, tmp_path: Path) -> None:
    refused = {
        f"{tmp_path}/file": entry(tmp_path / "file", content="wrong\n", validate="grep right %s"),
        "relative is not an absolute path": {"path": "relative", "content": ""},
        "u=rw of /a is no octal mode": {"path": "/a", "content": "", "mode": "u=rw"},
        "content": {"path": "/a"},
        "target": {"path": "/a", "state": "link"},
        "contents": {"path": "/a", "content": "", "contents": ""},
    }
    answers = play(*[("files", {"entries": [wrong]}) for wrong in refused.values()])
    for told, answer in zip(refused, answers, strict=True):
        assert answer["failed"]
        assert told in answer["msg"]
    assert not (tmp_path / "file").exists()


def test_units_leaves_alone_what_runs_now_and_at_every_boot(play: Play, tmp_path: Path) -> None:
    # In place of systemd, which does not run everywhere where this does; scenario `check` has the real one.
    systemctl = tmp_path / "systemctl"
    running = "ActiveState=active\nUnitFileState=enabled\n"
    systemctl.write_text(f"#!/bin/sh\ncat <<END\n{running}\n{running}END\n", encoding="utf-8")
    systemctl.chmod(0o755)
    (answer,) = play(("units", {"names": ["one.service", "two.socket"]}))
    assert (answer["failed"], answer["changed"]) == (False, False)
