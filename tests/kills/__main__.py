"""Kills deployments at random moments (SIGKILL to ansible-playbook), and asks a plain run to end well after each.

Of five deployments one is to a fresh server; the others bring a changed server image, memory limit, upload limit and
idle time to a deployed one. Run by `make test-kills`; takes about five minutes a kill on two cores.
"""

import argparse
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.checkout import PROJECT, Checkout, Run

SERVER = "whisper-kills"
FRESH_EVERY = 5
DOMAIN, PORT = "kills.localhost", 29443
INSTANCES = [
    {
        "name": SERVER,
        "published_ports": [f"127.0.0.1:{PORT}:443"],
        "names": [f"whisper.{DOMAIN}", f"portal.{DOMAIN}"],
    }
]
TASK = re.compile(r"^TASK \[(.*?)\] \**$", re.MULTILINE)


@dataclass(frozen=True)
class Kill:
    """A deployment that was killed after `after` seconds in `task`, and the plain run that followed it.

    `task` is empty when the deployment had ended before.
    """

    fresh: bool
    after: float
    task: str
    repaired: bool
    repair_seconds: float


def bed(playbook: str) -> None:
    variables = json.dumps({"testbed_instances": INSTANCES})
    command = ["ansible-playbook", f"testbed/{playbook}.yml", "--extra-vars", variables]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)


def write_inventory(folder: Path) -> Path:
    """The inventory of the Molecule scenarios, with this server in it."""
    text = (PROJECT / ".config/molecule/config.yml").read_text(encoding="utf-8")
    for name, value in (("PROJECT", PROJECT), ("EPHEMERAL", folder)):
        text = text.replace(f"${{MOLECULE_{name}_DIRECTORY}}", str(value))
    variables: dict[str, Any] = yaml.safe_load(text)["provisioner"]["inventory"]["group_vars"]["whisper_services"]
    variables |= {"site_domain": DOMAIN, "site_https_port": PORT}
    inventory = folder / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "hosts.yml").write_text(json.dumps({"whisper_services": {"hosts": {SERVER: {}}}}), encoding="utf-8")
    (inventory / "group_vars/whisper_services.yml").write_text(yaml.safe_dump(variables), encoding="utf-8")
    return inventory


class Deployments:
    """Runs of the site.yml of a checkout, each with its own number in everything that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.checkout = Checkout(folder / "checkout", write_inventory(folder))
        self.log = folder / "site.log"
        self.number = 0

    def change(self) -> None:
        self.number += 1
        self.checkout.add_to_server(f"\n# Version {self.number}.\n")

    def start(self) -> Run:
        variables = {
            "whisper_faster_memory": f"{2048 + self.number}m",
            "nginx_client_max_body_size": f"{500 + self.number}M",
            "autostart_idle_timeout": 1800 + self.number,
        }
        return self.checkout.start("site.yml", "--extra-vars", json.dumps(variables), log=self.log)

    def run(self) -> tuple[bool, float]:
        """Whether a whole deployment ended well, and its seconds."""
        began = time.monotonic()
        good = self.start().wait() == 0
        return good, time.monotonic() - began

    def task(self) -> str:
        """The last task that the deployment said it began."""
        tasks = TASK.findall(self.log.read_text(encoding="utf-8"))
        return tasks[-1] if tasks else "before the first task"


def kill_one(deployments: Deployments, after: float, *, fresh: bool) -> Kill:
    deployment = deployments.start()
    try:
        status = deployment.wait(after)
    except subprocess.TimeoutExpired:
        deployment.process.kill()
        status = deployment.wait()
    task = deployments.task() if status < 0 else ""
    repaired, seconds = deployments.run()
    if not repaired:
        print(deployments.log.read_text(encoding="utf-8")[-5000:], file=sys.stderr)
    return Kill(fresh, after, task, repaired, seconds)


def kill_all(count: int, moments: random.Random) -> list[Kill]:
    kills = []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        deployments = Deployments(Path(folder))
        durations: dict[bool, float] = {}
        for number in itertools.count():
            fresh = number % FRESH_EVERY == 0
            if fresh:
                bed("destroy")
                bed("create")
            deployments.change()
            if fresh not in durations:
                # How long one takes that nobody kills.
                good, durations[fresh] = deployments.run()
                print(f"{'fresh' if fresh else 'changed'}, not killed: {durations[fresh]:.0f} s", flush=True)
                if not good:
                    raise SystemExit(deployments.log.read_text(encoding="utf-8")[-5000:])
                continue
            kill = kill_one(deployments, moments.uniform(0, durations[fresh]), fresh=fresh)
            if kill.repaired and not kill.task:
                print("had ended before its moment", flush=True)
                continue
            kills.append(kill)
            task = kill.task.replace("|", r"\|")
            print(
                f"| {len(kills)} | {'fresh' if fresh else 'changed'} | {kill.after:.0f} s | {task} "
                f"| {'ended well' if kill.repaired else 'FAILED'} in {kill.repair_seconds:.0f} s |",
                flush=True,
            )
            if len(kills) == count:
                return kills
    raise AssertionError


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-kills", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="how many kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the moments")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    try:
        kills = kill_all(arguments.count, random.Random(arguments.seed))  # noqa: S311 - moments, not secrets
    finally:
        bed("destroy")
    failed = sum(not kill.repaired for kill in kills)
    print(f"{len(kills)} deployments killed, {failed} not repaired by the next run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
