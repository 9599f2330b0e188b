"""Both modes of the role, and nothing of it. The tests run in this order, on one host."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from testinfra.host import Host

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
CA_FILE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.pem"
PORTAL = "https://portal.monitoring.localhost:30443"
WHISPER = "https://whisper.monitoring.localhost:30443"
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
METRICS_KEY = {"Authorization": "Bearer metrics-key-0123456789abcdef01234567890"}
IDLE_TIMEOUT = 8
UNITS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")


def site(*arguments: str, playbook: str = "site.yml") -> str:
    """Run a playbook and return all it printed, as one line."""
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], playbook, *arguments]
    own = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles"), "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | own, check=False, capture_output=True, text=True)
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, printed[-3000:]
    return printed


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(1)


def query(host: Host, expression: str) -> list[dict[str, Any]]:
    answer = host.check_output(
        "curl --silent --fail --get --data-urlencode %s http://127.0.0.1:9090/api/v1/query", f"query={expression}"
    )
    found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
    return found


def get(url: str, key: dict[str, str] | None = None) -> requests.Response:
    return requests.get(url, headers=key, verify=str(CA_FILE), timeout=60)


def is_stopped(host: Host) -> bool:
    services = json.loads(host.check_output("docker-autostart status --json"))["services"]
    return [service["state"] for service in services] == ["stopped"]


def test_nothing_listens_on_other_addresses_than_the_loopback(host: Host) -> None:
    listening = host.check_output("ss --no-header --listening --tcp --numeric").splitlines()
    addresses = [line.split()[3] for line in listening]
    for port in (8890, 9090, 9093, 9094, 9100):
        found = [address for address in addresses if address.endswith(f":{port}")]
        assert all(address.startswith("127.0.0.1:") for address in found), found
    assert {"127.0.0.1:9090", "127.0.0.1:9093", "127.0.0.1:9100"} <= set(addresses)


def test_prometheus_scrapes_both_targets_and_evaluates_all_rules(host: Host) -> None:
    wait_for(lambda: len(query(host, "up == 1")) == 2, 60)
    rules = json.loads(host.check_output("curl --silent --fail http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
    assert len(rules[0]["rules"]) > 10
    assert [rule["name"] for rule in rules[0]["rules"] if rule["health"] == "err"] == []


def test_all_of_it_needs_150_mb(host: Host) -> None:
    pids = [host.check_output("systemctl show --property=MainPID --value %s", unit) for unit in UNITS]
    resident = host.check_output("ps -o rss= -p %s", ",".join(pids)).split()
    assert sum(int(kilobytes) for kilobytes in resident) * 1024 < 150e6


def test_scrapes_keep_no_service_running_and_wake_none(host: Host) -> None:
    assert get(f"{WHISPER}/v1/models", KEY).status_code == 200
    began = time.monotonic()

    def stopped_after_a_scrape() -> bool:
        host.check_output("curl --silent --fail --output /dev/null http://127.0.0.1:8890/metrics")
        return is_stopped(host)

    wait_for(stopped_after_a_scrape, IDLE_TIMEOUT + 10)
    while time.monotonic() < began + 3 * IDLE_TIMEOUT:
        assert stopped_after_a_scrape()
        time.sleep(1)
    wait_for(lambda: query(host, 'autostart_state{state="stopped"} == 1') != [], 60)
    assert query(host, "whisper_request_seconds_count") != [], "its counters are there while it sleeps"
    assert query(host, "max_over_time(autostart_start_seconds_count[1h])") != []
    assert is_stopped(host)


def test_what_only_the_host_knows(host: Host) -> None:
    assert get(f"{WHISPER}/v1/models", {"Authorization": "Bearer wrong"}).status_code == 401
    host.check_output("systemctl start whisper-services-host-metrics.service")
    wait_for(lambda: query(host, 'whisper_nginx_responses_total{status="401"} > 0') != [], 90)
    certificates = query(host, "whisper_certificate_expiry_timestamp_seconds - time() > 86400")
    assert {each["metric"]["certificate"] for each in certificates} == {
        "whisper.monitoring.localhost",
        "portal.monitoring.localhost",
    }


def test_a_test_alert_arrives_by_e_mail(host: Host) -> None:
    printed = site(playbook="playbooks/test_alert.yml")
    assert "owner@example.com" in printed
    mails = host.file("/root/received/mails")
    wait_for(lambda: mails.exists and "WhisperTest" in mails.content_string, 120)
    assert "To: owner@example.com" in mails.content_string


def test_heartbeats_arrive_while_the_host_works(host: Host) -> None:
    requested = host.file("/root/received/requests")
    host.check_output("systemctl start whisper-services-heartbeat.service")
    assert "GET /ping?secret=molecule-heartbeat " in requested.content_string
    before = len(requested.content_string.splitlines())
    host.check_output("systemctl stop nginx.service")
    try:
        assert host.run("systemctl start whisper-services-heartbeat.service").rc != 0
    finally:
        host.check_output("systemctl start nginx.service")
    assert len(requested.content_string.splitlines()) == before
    assert host.file("/etc/whisper-services-heartbeat.curl").mode == 0o600
    assert "secret=molecule-heartbeat" not in host.check_output("systemctl cat whisper-services-heartbeat.service")


def test_metrics_are_not_reachable_from_outside_in_local_mode() -> None:
    assert get(f"{PORTAL}/metrics", METRICS_KEY).status_code == 404
    with pytest.raises(requests.ConnectionError):  # nginx answers to no such name
        requests.get(
            f"{WHISPER}/metrics", headers={**METRICS_KEY, "Host": "localhost"}, verify=str(CA_FILE), timeout=60
        )


def test_the_other_mode_leaves_exporters_only(host: Host) -> None:
    site("--extra-vars", "monitoring_mode=remote", "--tags", "monitoring,nginx")
    for package in ("prometheus", "prometheus-alertmanager", "promtool", "libjs-moment"):
        assert not host.package(package).is_installed, package
    assert not host.file("/var/lib/prometheus/whisper-services").exists
    assert host.service("prometheus-node-exporter").is_running


def test_another_prometheus_reads_both_with_a_key_for_metrics(host: Host) -> None:
    for path, name in (("/metrics", "autostart_build_info"), ("/metrics/node", "node_filesystem_avail_bytes")):
        assert name in get(PORTAL + path, METRICS_KEY).text
        assert get(PORTAL + path, KEY).status_code == 403
        assert get(PORTAL + path).status_code == 401
    assert is_stopped(host)


def test_removal_leaves_nothing(host: Host) -> None:
    absent = ("--extra-vars", "monitoring_state=absent", "--extra-vars", "monitoring_heartbeat_url=''")
    site(*absent, "--tags", "monitoring,nginx")
    assert get(f"{PORTAL}/metrics", METRICS_KEY).status_code == 404
    for unit in UNITS:
        assert not host.package(unit).is_installed
    left = host.check_output(
        "export LC_ALL=C; find /etc /usr/local /var/lib -xdev | sort | comm -13 /root/files-before - "
        "| sed -n -E '/prometheus|promtool|alertmanager|monitoring|heartbeat|host.metrics|host.prom|textfiles/p'"
    )
    assert [path for path in left.splitlines() if "monitoring.localhost" not in path] == []
    assert "whisper-services" not in host.check_output(
        "systemctl list-units --all --plain --no-legend --state=failed,not-found"
    )
    assert set(re.findall(r"changed=(\d+)", site(*absent, "--tags", "monitoring"))) == {"0"}
