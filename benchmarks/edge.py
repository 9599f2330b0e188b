"""What the edge costs: a request through nginx (TLS, authentication, limits, log) against one straight to the upstream.

On a fresh server in a container, with the roles as they are deployed. The upstream only receives uploads.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from benchmarks.rows import Row, above, below

ROOT = Path(__file__).parents[1]
SERVER = "whisper-bench-edge"
HOST = "whisper.edge.localhost"
KEY = "benchmark-key-0123456789abcdef0123456789"

VARIABLES = {
    "ansible_ssh_common_args": f"-F {ROOT}/testbed/ssh_config -i {ROOT}/.cache/testbed/id_ed25519",
    "certificates_source": "selfsigned",
    "certificates_names": [HOST],
    "certificates_ca_copy": "",
    "nginx_sites": [{"name": HOST, "upstream": "127.0.0.1:8890", "certificate": f"/etc/ssl/whisper-services/{HOST}"}],
    "nginx_basic_users": [],
    "nginx_api_keys": [{"name": "benchmark", "key": KEY}],
    # Asks as often as it can.
    "nginx_key_requests_per_second": 100_000,
    "nginx_fail2ban": False,
}


def say(text: str) -> None:
    print(f"edge: {text}", flush=True)


def playbook(path: str, *arguments: str) -> None:
    done = subprocess.run(["ansible-playbook", path, *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr)
    done.check_returncode()


def bed(path: str) -> None:
    playbook(path, "--extra-vars", json.dumps({"testbed_instances": [{"name": SERVER}]}))


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; with ``warm`` a server that is there is used, and left."""
    say("a server in a container")
    bed("testbed/create.yml")
    try:
        say("nginx on it")
        with tempfile.TemporaryDirectory() as folder:
            inventory = Path(folder) / "hosts.json"
            inventory.write_text(json.dumps({"whisper_services": {"hosts": {SERVER: {}}}}))
            playbook("benchmarks/edge.yml", "-i", str(inventory), "--extra-vars", json.dumps(VARIABLES))
        say("requests, and uploads of 500 MB")
        done = subprocess.run(
            ["docker", "exec", "--interactive", SERVER, "python3", "-", HOST, KEY],
            input=(Path(__file__).parent / "edge_client.py").read_text(encoding="utf-8"),
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        if not warm:
            bed("testbed/destroy.yml")
    measured = json.loads(done.stdout)
    overhead = measured["through"] - measured["straight"]
    return [
        below(f"latency added by nginx (upstream: {measured['straight']:.2f} ms), median", overhead, "ms", 1),
        above("500 MB upload: speed relative to direct requests to the upstream", measured["upload_speed"], "x", 0.7),
        below("written to disk during that upload", measured["written"] / 1e6, "MB", 1),
    ]
