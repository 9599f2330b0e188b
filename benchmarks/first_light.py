"""From an empty machine to a transcript: what the deployment takes, and what the way through the edge costs.

The cold run happens on a bare Debian 13 in a container of the test bed, which has neither Docker nor this repository's
tools: `git clone` and `make demo`, as a newcomer would. Everything else is measured on the demo of this machine.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import requests

from benchmarks.rows import Row, below, exactly
from demo.transcribe import read_env

ROOT = Path(__file__).parents[1]
SPEECH = ROOT / ".cache/speech"
NEWCOMER = "whisper-newcomer"
CLIP_SECONDS = 7.0
REQUESTS = 20
FIRST = "whisper-first"
# The last commit before deployments were made quicker, to compare with.
BEFORE = "c159a5b"


def run(*command: str) -> str:
    """Run a command in the repository and return its standard output.

    Raises:
        subprocess.CalledProcessError: it failed; its output was printed.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    done.check_returncode()
    return done.stdout


def seconds(*command: str) -> float:
    """Run a command and return how long it took."""
    start = time.monotonic()
    run(*command)
    return time.monotonic() - start


def inside(*command: str) -> str:
    """Run a command on the newcomer's machine."""
    return run("docker", "exec", NEWCOMER, *command)


def bed(playbook: str, **instance: object) -> None:
    """Create or destroy a machine of the test bed, the newcomer's unless it has another name."""
    instances = json.dumps({"testbed_instances": [{"name": NEWCOMER} | instance]})
    run("ansible-playbook", f"testbed/{playbook}.yml", "--extra-vars", instances)


def cold_demo() -> float:
    """Seconds of `make demo` on a machine with nothing but git, make and the wheels of torch."""
    bed("destroy")
    bed("create")
    try:
        # In images for containers dpkg does not wait for the disk, on a server it does.
        inside("find", "/etc/dpkg/dpkg.cfg.d", "-type", "f", "-delete")
        inside("apt-get", "install", "-qqy", "--no-install-recommends", "git", "make")
        bundle = ROOT / ".cache/newcomer.bundle"
        run("git", "bundle", "create", str(bundle), "HEAD")
        run("docker", "cp", str(bundle), f"{NEWCOMER}:/root/repository")
        bundle.unlink()
        inside("git", "clone", "--quiet", "/root/repository", "/root/whisper-services")
        # pip may be configured here to find them where the newcomer does not look.
        inside("mkdir", "--parents", "/root/whisper-services/.cache")
        run("docker", "cp", str(ROOT / ".cache/wheels"), f"{NEWCOMER}:/root/whisper-services/.cache/wheels")
        start = time.monotonic()
        inside("make", "--directory", "/root/whisper-services", "demo")
        return time.monotonic() - start
    finally:
        bed("destroy")


def first_deployment(revision: str) -> float:
    """Seconds of the first `site.yml` of a revision with both services on a bare server, whose images are made."""
    tree = ROOT / ".cache/first-light" / revision
    run("git", "worktree", "add", "--force", "--detach", str(tree), revision)
    try:
        for name in (".venv", ".cache"):
            (tree / name).symlink_to(ROOT / name)
        (tree / ".demo").mkdir()
        subprocess.run([sys.executable, "-m", "tools.credentials", ".demo/credentials.yml"], cwd=tree, check=True)
        # The first one makes the images on this machine, and packs them.
        _deploy(tree)
        return _deploy(tree)
    finally:
        shutil.rmtree(tree)
        run("git", "worktree", "prune")


def _deploy(tree: Path) -> float:
    names = [f"{name}.first.localhost" for name in ("whisper", "whisperx", "portal")]
    variables = {
        "ansible_host": FIRST,
        "site_domain": "first.localhost",
        "site_https_port": 9443,
        "image_delivery": "load",
        "whisper_faster_base_image": "whisper-services/python:3.11-slim",
        "whisperx_base_image": "whisper-services/python:3.11-slim",
    }
    bed("create", name=FIRST, published_ports=["127.0.0.1:9443:443"], names=names)
    try:
        start = time.monotonic()
        deployment = ["ansible-playbook", "site.yml", "-i", "inventory/demo", "--extra-vars", json.dumps(variables)]
        done = subprocess.run(deployment, cwd=tree, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        done.check_returncode()
        return time.monotonic() - start
    finally:
        bed("destroy", name=FIRST, names=names)


def edge_overhead(env: dict[str, str]) -> float:
    """Milliseconds that a request for a clip of about 7 s takes beyond the engine's own time: the median of many."""
    entries = json.loads((SPEECH / "speech.json").read_text())
    clip = min((e for e in entries if e["text"]), key=lambda e: abs(e["seconds"] - CLIP_SECONDS))
    audio = (SPEECH / clip["file"]).read_bytes()
    overheads = []
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {env['API_KEY']}"
        for _ in range(REQUESTS + 1):
            start = time.monotonic()
            answer = session.post(
                f"{env['WHISPER_URL']}/v1/audio/transcriptions",
                files={"file": ("clip.wav", audio)},
                data={"model": "whisper-1", "language": clip["language"]},
                # Here and not on the session, whose setting REQUESTS_CA_BUNDLE overrides.
                verify=env["CA_FILE"],
                timeout=60,
            )
            wall = 1000 * (time.monotonic() - start)
            answer.raise_for_status()
            overheads.append(wall - float(answer.headers["openai-processing-ms"]))
    # The first one shakes hands and finds the server's caches cold.
    return statistics.median(overheads[1:])


def image_megabytes(vps: str) -> float:
    """Size of the service's image in MB (10^6 bytes)."""
    image = run("docker", "exec", vps, "docker", "container", "inspect", "--format", "{{.Image}}", "faster-whisper")
    size = run("docker", "exec", vps, "docker", "image", "inspect", "--format", "{{.Size}}", image.strip())
    return int(size) / 1e6


def idle_megabytes(vps: str) -> float:
    """Memory of a fresh container with the model loaded, in MB; the cgroup's figure less its page cache."""
    docker = ("docker", "exec", vps, "docker")
    run(*docker, "compose", "--project-directory", "/opt/whisper-faster", "restart")
    ready = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready')"
    for _ in range(60):
        asked = subprocess.run(
            [*docker, "exec", "faster-whisper", "python", "-c", ready], capture_output=True, check=False
        )
        if asked.returncode == 0:
            break
        time.sleep(1)
    asked.check_returncode()
    usage = run(*docker, "stats", "--no-stream", "--format", "{{.MemUsage}}", "faster-whisper")
    return float(usage.partition("MiB")[0]) * 1024**2 / 1e6


def second_deployment(vps: str, command: str) -> tuple[float, int]:
    """Seconds of a second `site.yml`, after the daemon was told to start or stop both services, and changed tasks."""
    for service in ("faster-whisper", "whisperx"):
        run("docker", "exec", vps, "docker-autostart", command, service)
    start = time.monotonic()
    recap = run("ansible-playbook", "site.yml", "-i", "inventory/demo")
    took = time.monotonic() - start
    return took, sum(int(count) for count in re.findall(r"changed=(\d+)", recap))


def cold() -> list[Row]:
    """What takes minutes: the newcomer's wait, and first deployments before and after."""
    run("testbed/images")
    rows = [below("make demo, first run on a fresh Debian 13", cold_demo(), "s", 330)]
    before = first_deployment(BEFORE)
    first = "first site.yml of both services on a bare server, images made"
    return [*rows, below(f"{first}; the target is that of {BEFORE}", first_deployment("HEAD"), "s", round(before, 1))]


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; with ``warm`` what takes minutes is left out."""
    rows = [] if warm else cold()
    run("demo/up")
    rows.append(below("make demo, second run (nothing to download or build)", seconds("demo/up"), "s", 60))
    env = read_env(ROOT / ".demo/env")
    for command, state in (("stop", "asleep"), ("start", "awake")):
        took, changed = second_deployment(env["VPS_CONTAINER"], command)
        rows += [
            below(f"site.yml, second run, both services {state}", took, "s", 30),
            exactly(f"site.yml, second run, both services {state}, changed tasks", changed, "", 0),
        ]
    status = seconds("ansible-playbook", "playbooks/status.yml", "-i", "inventory/demo")
    rows += [
        below("playbooks/status.yml", status, "s", 6),
        below(
            "latency added to inference by nginx, the daemon and the API server, 7 s clip, median",
            edge_overhead(env),
            "ms",
            30,
        ),
        below("image size of faster-whisper", image_megabytes(env["VPS_CONTAINER"]), "MB", 700),
        below("memory of an idle container with base loaded", idle_megabytes(env["VPS_CONTAINER"]), "MB", 400),
    ]
    return rows
