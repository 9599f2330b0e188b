"""Which files are an image's build context, and what its tag depends on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tools.role_readme import ROLES

PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: compose_service
        tasks_from: context
    - ansible.builtin.copy:
        dest: "{{ answer }}"
        content: "{{ [__compose_service_tag, __compose_service_context | map(attribute='path')] | to_json }}"
"""


def context(folder: Path, answer: Path) -> tuple[str, list[str]]:
    """The tag and the paths of the context that the role makes of a folder."""
    playbook = answer.with_suffix(".yml")
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    description = {"name": "service", "context": [{"src": str(folder)}, {"src": str(folder / "api"), "dest": "api"}]}
    variables = json.dumps(
        {
            "answer": str(answer),
            "compose_service_description": description,
            "ansible_python_interpreter": sys.executable,
        }
    )
    command = ["ansible-playbook", str(playbook), "--inventory", "localhost,", "--connection", "local"]
    environment = {"ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_LOCALHOST_WARNING": "false"}
    done = subprocess.run(
        [*command, "--extra-vars", variables],
        env={**os.environ, **environment},
        cwd=ROLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tag, paths = json.loads(answer.read_text(encoding="utf-8"))
    return tag, paths


def test_a_changed_text_rebuilds_no_image_and_changed_code_does(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    (folder / "api").mkdir(parents=True)
    for name in ("Dockerfile", "README.md", "server.py", "requirements.in", "api/app.py", "api/notes.md"):
        (folder / name).write_text("first", encoding="utf-8")
    answer = tmp_path / "answer.json"
    before, paths = context(folder, answer)
    assert set(paths) == {"Dockerfile", "server.py", "api/app.py"}
    for name in ("README.md", "api/notes.md"):
        (folder / name).write_text("second", encoding="utf-8")
    assert context(folder, answer)[0] == before
    (folder / "api/app.py").write_text("second", encoding="utf-8")
    assert context(folder, answer)[0] != before
