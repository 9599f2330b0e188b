"""How much longer the deployment of three hosts takes than that of one.

Fresh servers in containers of this machine, each with a third of a processor of its own, as servers do not share
theirs: of two processors, that leaves one to Ansible, which has a process for each server. The image of faster-whisper
is built once on the control node and loaded on each (`image_delivery: load`).
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.edge import VARIABLES as EDGE
from benchmarks.edge import playbook
from benchmarks.rows import Row, above, below

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
PROCESSORS = 1 / 3
# Each with the port of this machine that leads to its 443.
SERVERS = {"whisper-fleet-a": 41443, "whisper-fleet-b": 41444, "whisper-fleet-c": 41445}

VARIABLES = {
    "ansible_ssh_common_args": EDGE["ansible_ssh_common_args"],
    "certificates_source": "selfsigned",
    "nginx_basic_users": [],
    "nginx_api_keys": EDGE["nginx_api_keys"],
    "image_delivery": "load",
    "whisper_faster_base_image": "whisper-services/python:3.11-slim",
    "whisper_faster_model": "Systran/faster-whisper-base",
    "whisper_faster_models_folder": str(CACHE / "models/hub"),
    "whisperx_state": "absent",
    "verify_recording": str(CACHE / "speech/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"),
    "verify_transcript": "leisure to consider",
    "verify_language": "en",
}


def deployment_seconds(servers: dict[str, int]) -> float:
    """Seconds of `site.yml` on so many fresh servers. Raises subprocess.CalledProcessError."""
    instances = json.dumps(
        {
            "testbed_instances": [
                {
                    "name": name,
                    "published_ports": [f"127.0.0.1:{port}:443"],
                    "names": [f"whisper.{name}.localhost", f"portal.{name}.localhost"],
                }
                for name, port in servers.items()
            ]
        }
    )
    playbook("testbed/create.yml", "--extra-vars", instances)
    try:
        subprocess.run(["docker", "update", f"--cpus={PROCESSORS:.2f}", *servers], check=True, capture_output=True)
        # Of each host: what an inventory file says of a group gives way to group_vars/all.
        hosts = {
            name: VARIABLES | {"site_domain": f"{name}.localhost", "site_https_port": port}
            for name, port in servers.items()
        }
        with tempfile.TemporaryDirectory() as folder:
            inventory = Path(folder) / "hosts.json"
            inventory.write_text(json.dumps({"whisper_services": {"hosts": hosts}}))
            start = time.monotonic()
            playbook("site.yml", "-i", str(inventory))
            return time.monotonic() - start
    finally:
        playbook("testbed/destroy.yml", "--extra-vars", instances)


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; ``warm`` changes nothing here."""
    del warm
    subprocess.run(["testbed/images", "vps", "python"], cwd=ROOT, check=True, capture_output=True)
    print("fleet: three servers", flush=True)
    # First, so that these wait for the image where it is not built yet.
    three = deployment_seconds(SERVERS)
    print("fleet: one server", flush=True)
    one = deployment_seconds(dict(list(SERVERS.items())[:1]))
    return [
        above("site.yml on a fresh server with a third of a CPU", one, "s", 0),
        below("site.yml on three of them, relative to one", three / one, "", 1.3),
    ]
