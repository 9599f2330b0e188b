"""Stacks that do not start: what their clients are told, and that they are served again by the same daemon.

They are small ones beside the service that was deployed, asked at the daemon's port.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.autostart.server import CONFIGURATION, CONTAINER, services

FOLDER = "/opt/broken"
START_TIMEOUTS = {"exits": 30, "unhealthy": 3, "renamed": 30, "disk": 30}
PORTS = {"exits": 18101, "unhealthy": 18102, "renamed": 18103, "disk": 18104}
"""The stacks, each with one container of its name, and their ports."""

COMPOSE = """
services:
  app:
    image: {image}
    container_name: {name}
    command: [python, -m, http.server, --directory, /app, "8000"]
    init: true
    volumes: [./app:/app:ro]
    ports: ["127.0.0.1:{port}:8000"]
"""
# The image is the service's, whose health is another question.
WITHOUT_HEALTH = """
    healthcheck: {disable: true}
"""
EXITS_WHILE_BROKEN = """
    entrypoint: [sh, -c, 'test ! -e /app/broken || exit 3; exec "$$@"', sh]
"""
UNHEALTHY_WHILE_BROKEN = """
    healthcheck: {test: [CMD, test, "!", -e, /app/broken], interval: 1s}
"""


@dataclass(frozen=True)
class Answer:
    status: int
    code: str  # of the error object; empty where the stack itself answered
    retry_after: float
    seconds: float


def ask(host: Host, name: str) -> Answer:
    answer, _, seconds = host.check_output(
        "curl --silent --show-error --max-time 60 --include --write-out '\n%%{time_total}' --header %s http://127.0.0.1:8890/",
        f"Host: {name}.localhost",
    ).rpartition("\n")
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    status = int(head.split()[1])
    retry_after = re.search(r"^Retry-After: (\d+)$", head, re.MULTILINE)
    code = json.loads(body)["error"]["code"] if status >= 400 else ""
    return Answer(status, code, float(retry_after[1]) if retry_after else 0.0, float(seconds))


def ask_until_served(host: Host, name: str, seconds: float) -> None:
    """Ask again after each `Retry-After`, as a client does, until the stack itself answers."""
    deadline = time.monotonic() + seconds
    while (answer := ask(host, name)).status != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(answer.retry_after)


def copy(text: str, path: str, folder: Path) -> None:
    """Put ``text`` at ``path`` on the host."""
    file = folder / Path(path).name
    file.write_text(text)
    subprocess.run(["docker", "cp", "--quiet", str(file), f"{CONTAINER}:{path}"], check=True)


def reload(host: Host) -> None:
    """Return when the daemon has said what it does with the configuration."""
    since = host.check_output("date +%s.%N")
    host.check_output("systemctl reload docker-autostart")
    deadline = time.monotonic() + 20
    while " applied" not in host.check_output("journalctl --unit docker-autostart --output cat --since @%s", since):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def process(host: Host) -> str:
    pid: str = host.check_output("systemctl show --property MainPID --value docker-autostart")
    return pid


@pytest.fixture(scope="module", autouse=True)
def stacks(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All of them created, asleep and broken; taken away in the end, by a daemon that was never restarted."""
    folder = tmp_path_factory.mktemp("stacks")
    before = host.check_output("cat %s", CONFIGURATION)
    configuration = json.loads(before)
    daemon = process(host)
    image = host.check_output("docker container inspect --format '{{.Config.Image}}' faster-whisper")
    breaks = {"exits": EXITS_WHILE_BROKEN + WITHOUT_HEALTH, "unhealthy": UNHEALTHY_WHILE_BROKEN}
    stacks = folder / "broken"
    for name, port in PORTS.items():
        (stacks / name / "app").mkdir(parents=True)
        (stacks / name / "app/broken").touch()
        compose = COMPOSE.format(image=image, name=name, port=port)
        (stacks / name / "compose.yaml").write_text(compose + breaks.get(name, WITHOUT_HEALTH))
        configuration["services"][f"{name}.localhost"] = {
            "composeDir": f"{FOLDER}/{name}",
            "containers": [name],
            "proxyPort": port,
            "readyPath": "/",
            "idleTimeout": 0,
            "startTimeout": START_TIMEOUTS[name],
        }
    subprocess.run(["docker", "cp", "--quiet", f"{stacks}/.", f"{CONTAINER}:{FOLDER}"], check=True)
    for name in PORTS:
        host.check_output("cd %s && docker compose --ansi never create", f"{FOLDER}/{name}")
    copy(json.dumps(configuration, indent=2), CONFIGURATION, folder)
    reload(host)
    yield
    served_by = process(host)
    copy(before, CONFIGURATION, folder)
    reload(host)
    for name in PORTS:
        host.check_output("cd %s && docker compose --ansi never down --timeout 1", f"{FOLDER}/{name}")
    host.check_output("rm -r %s", FOLDER)
    assert served_by == daemon


def mend(host: Host, name: str) -> None:
    host.check_output("rm %s", f"{FOLDER}/{name}/app/broken")


def test_a_container_that_exits_at_once(host: Host) -> None:
    answer = ask(host, "exits")
    assert (answer.status, answer.code) == (503, "start_failed")
    assert answer.retry_after >= 1
    assert answer.seconds < START_TIMEOUTS["exits"] / 2, "it was waited for"
    mend(host, "exits")
    ask_until_served(host, "exits", 60)


def test_a_container_that_is_never_healthy(host: Host) -> None:
    answer = ask(host, "unhealthy")
    assert (answer.status, answer.code) == (504, "start_timeout")
    assert answer.retry_after >= 1
    assert START_TIMEOUTS["unhealthy"] <= answer.seconds < START_TIMEOUTS["unhealthy"] + 1
    mend(host, "unhealthy")
    ask_until_served(host, "unhealthy", 60)


def test_a_container_that_the_compose_file_does_not_have(host: Host, tmp_path: Path) -> None:
    file = f"{FOLDER}/renamed/compose.yaml"
    good = host.check_output("cat %s", file)
    host.check_output("cd %s && docker compose --ansi never rm --force --stop", f"{FOLDER}/renamed")
    copy(good.replace("container_name: renamed", "container_name: other"), file, tmp_path)
    checked = host.run("docker-autostart check-config")
    assert checked.rc == 78
    assert re.search(r"line \d+: .*the compose file has no container renamed; it has other", checked.stderr)
    answer = ask(host, "renamed")
    assert (answer.status, answer.code) == (503, "start_failed")
    copy(good, file, tmp_path)
    host.check_output("cd %s && docker compose --ansi never up --detach", f"{FOLDER}/renamed")
    ask_until_served(host, "renamed", 60)


def test_a_full_disk(host: Host) -> None:
    """/run is where the engine notes what runs, and the daemon what it is to remember."""
    for service in services(host):  # a container's end would make room in the middle of the test
        host.check_output("docker-autostart stop %s", service["host"])
    mounted = host.check_output("findmnt --noheadings --output OPTIONS /run")
    host.check_output("mount -o remount,size=$(($(df --block-size=1 --output=used /run | tail -1) + 1048576)) /run")
    try:
        assert "No space left" in host.run("head --bytes 2M /dev/zero > /run/full").stderr
        answer = ask(host, "disk")
        assert (answer.status, answer.code) == (503, "start_failed")
        assert answer.retry_after >= 1
    finally:
        host.check_output("rm /run/full")
        host.check_output("mount -o remount,%s /run", mounted if "size=" in mounted else "size=50%")
    ask_until_served(host, "disk", 60)
