"""Runs of commands and of playbooks, and what a playbook reported about each host."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


@dataclass(frozen=True)
class Report:
    """What one run of a playbook reported."""

    refusals: Mapping[str, list[str]]
    """Host → the messages of its tasks that failed."""
    messages: Mapping[str, list[str]]
    """Host → the messages of all its tasks."""
    failed: frozenset[str]
    """Hosts with a failure that nothing in the playbook handled."""
    plays: list[str]
    """Names of the plays of which at least one task ran."""
    printed: str

    def refused(self, host: str, *words: str) -> bool:
        """Whether the host was refused with a message of which one line has all these words."""
        lines = "\n".join(self.refusals.get(host, [])).splitlines()
        return host in self.failed and any(all(word in line for word in words) for line in lines)


def play(playbook: str | Path, inventory: Path, *options: str) -> Report:
    """Run a playbook and read what Ansible's JSON callback prints."""
    command = ["ansible-playbook", str(playbook), "--inventory", str(inventory), *options]
    done = run(*command, env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"})
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    report = json.loads(done.stdout)
    results = [pair for play in report["plays"] for task in play["tasks"] for pair in task["hosts"].items()]
    return Report(
        _by_host((host, result) for host, result in results if result.get("failed")),
        _by_host(results),
        frozenset(host for host, count in report["stats"].items() if count["failures"] or count["unreachable"]),
        [play["play"]["name"] for play in report["plays"] if play["tasks"]],
        done.stdout + done.stderr,
    )


def _by_host(results: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Collect each host's messages. In a loop that failed, those of the items that did not are left out."""
    messages: dict[str, list[str]] = {}
    for host, result in results:
        items = [item for item in result.get("results", []) if item.get("failed") or not result.get("failed")]
        messages.setdefault(host, []).extend(one["msg"] for one in [result, *items] if isinstance(one.get("msg"), str))
    return messages
