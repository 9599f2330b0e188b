"""From an empty machine to a transcript: what the deployment takes, and what the way through the edge costs.

The cold run happens on a bare Debian 13 in a container of the test bed, which has neither Docker nor this repository's
tools: `git clone` and `make demo`, as a newcomer would. Everything else is measured on the demo of this machine.
"""

import json
import re
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


def bed(playbook: str) -> None:
    """Create or destroy the newcomer's machine."""
    instance = json.dumps({"testbed_instances": [{"name": NEWCOMER}]})
    run("ansible-playbook", f"testbed/{playbook}.yml", "--extra-vars", instance)


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


def second_deployment() -> tuple[float, int]:
    """Seconds of a second `site.yml` and how many tasks changed something."""
    start = time.monotonic()
    recap = run("ansible-playbook", "site.yml", "-i", "inventory/demo")
    took = time.monotonic() - start
    return took, sum(int(count) for count in re.findall(r"changed=(\d+)", recap))


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; with ``warm`` the cold run, some minutes, is left out."""
    rows = [] if warm else [below("make demo on a bare Debian 13", cold_demo(), "s", 330)]
    run("demo/up")
    rows.append(below("make demo, everything there", seconds("demo/up"), "s", 60))
    took, changed = second_deployment()
    rows += [
        below("second site.yml", took, "s", 30),
        exactly("second site.yml, tasks that changed something", changed, "", 0),
        below(
            "playbooks/status.yml", seconds("ansible-playbook", "playbooks/status.yml", "-i", "inventory/demo"), "s", 6
        ),
    ]
    env = read_env(ROOT / ".demo/env")
    rows += [
        below("edge and server beyond the engine's time, 7 s clip, median", edge_overhead(env), "ms", 30),
        below("image of faster-whisper", image_megabytes(env["VPS_CONTAINER"]), "MB", 500),
        below("idle container with base loaded", idle_megabytes(env["VPS_CONTAINER"]), "MB", 400),
    ]
    return rows
