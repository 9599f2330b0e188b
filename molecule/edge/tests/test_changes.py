"""What a later deployment changes: who may come in, without a restart; and what it refuses to change."""

import json
import os
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

ROOT = Path(__file__).parents[3]
KEY = "molecule-key-0123456789abcdef0123456789"
USER = ("molecule", "molecule-password")
OTHER_KEY = "another-key-0123456789abcdef0123456789ab"


@pytest.fixture
def name(host: Host) -> str:
    return f"whisper.{host.ansible.get_variables()['site_domain']}"


def rotate(host: Host, variables: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run playbooks/rotate.yml for the host, with variables that override the inventory's."""
    command = ["ansible-playbook", "playbooks/rotate.yml", "--inventory", host.backend.ansible_inventory]
    command += ["--limit", host.backend.get_hostname(), "--diff", "--extra-vars", json.dumps(variables)]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def fingerprint(host: Host) -> str:
    """Everything below /etc/nginx, in one line."""
    return str(host.check_output("find /etc/nginx -type f -exec sha256sum {} + | sort | sha256sum"))


def status(name: str, authorities: str, key: str = "", user: tuple[str, str] | None = None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    trust = ssl.create_default_context(cafile=authorities)
    return httpx.get(f"https://{name}/v1/models", headers=headers, auth=user, verify=trust, timeout=10).status_code


def test_a_broken_snippet_is_refused_and_the_site_goes_on(host: Host, name: str, authorities: str) -> None:
    site = {"name": name, "upstream": "127.0.0.1:8890", "certificate": f"/etc/ssl/whisper-services/{name}"}
    before = fingerprint(host)
    done = rotate(host, {"nginx_sites": [site | {"snippet": "location /mine {\n  nonsense on;\n}"}]})
    assert done.returncode != 0
    assert 'unknown directive "nonsense"' in done.stdout.replace('\\"', '"')
    assert "`snippet` in nginx_sites" in done.stdout
    assert fingerprint(host) == before
    assert status(name, authorities, KEY) == 200


def test_users_and_keys_are_added_and_revoked_without_a_restart(host: Host, name: str, authorities: str) -> None:
    process = host.file("/run/nginx.pid").content_string
    assert status(name, authorities, OTHER_KEY) == 401
    try:
        done = rotate(host, {"nginx_basic_users": [], "nginx_api_keys": [{"name": "other", "key": OTHER_KEY}]})
        assert done.returncode == 0, done.stdout
        assert "API keys: other." in done.stdout
        assert OTHER_KEY not in done.stdout + done.stderr
        assert status(name, authorities, OTHER_KEY) == 200
        assert status(name, authorities, KEY) == 401
        assert status(name, authorities, user=USER) == 401
    finally:
        done = rotate(host, {})
    assert done.returncode == 0, done.stdout
    assert status(name, authorities, OTHER_KEY) == 401
    assert status(name, authorities, KEY) == 200
    assert status(name, authorities, user=USER) == 200
    assert host.file("/run/nginx.pid").content_string == process
