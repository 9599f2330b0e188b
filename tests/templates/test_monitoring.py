"""Units of the role monitoring, and the packages of each mode. What its programs read is in tests/monitoring."""

import configparser
from typing import Any

import pytest

from tests.templates.conftest import Evaluate, Render


@pytest.mark.parametrize("unit", ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter"])
def test_programs_listen_on_the_loopback_and_have_a_limit(render: Render, unit: str) -> None:
    text = render("monitoring", f"{unit}.conf.j2")
    assert "--web.listen-address=127.0.0.1:" in text
    assert "MemoryMax=" in text
    if unit == "prometheus-alertmanager":
        assert text.rstrip().split("--cluster.listen-address=")[1].startswith("\n"), "no cluster"


def test_what_the_host_metrics_are_made_of(render: Render) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(
        render(
            "monitoring",
            "whisper-services-host-metrics.service.j2",
            monitoring_certificates=["/etc/ssl/whisper-services/a/fullchain.pem"],
        ).replace("\\\n", "")
    )
    assert unit["Service"]["ExecStart"].split() == [
        "/usr/bin/python3",
        "-I",
        "/usr/local/lib/whisper-services/host_metrics.py",
        "/var/lib/docker-autostart/textfiles/host.prom",
        "/var/lib/whisper-services/host-metrics.json",
        "/var/log/nginx/whisper-services.log",
        "/var/lib/whisper-services/backup",
        "/etc/ssl/whisper-services/a/fullchain.pem",
    ]


def test_the_url_of_a_heartbeat_stands_in_no_unit(render: Render) -> None:
    url = "https://hc.example.com/ping/5f8a?b=c"
    config = render("monitoring", "heartbeat.curl.j2", monitoring_heartbeat_url=url)
    assert f'url = "{url}"' in config
    for unit in ("service", "timer"):
        text = render("monitoring", f"whisper-services-heartbeat.{unit}.j2", monitoring_heartbeat_url=url)
        assert "5f8a" not in text


EXPORTERS = ["prometheus-node-exporter", "python3-cryptography"]


@pytest.mark.parametrize(
    ("variables", "packages"),
    [
        ({}, []),
        ({"monitoring_state": "present"}, [*EXPORTERS, "prometheus", "prometheus-alertmanager"]),
        ({"monitoring_state": "present", "monitoring_mode": "remote"}, EXPORTERS),
        ({"monitoring_heartbeat_url": "https://hc.example.com/ping"}, ["curl"]),
    ],
)
def test_each_mode_has_its_packages(evaluate: Evaluate, variables: dict[str, Any], packages: list[str]) -> None:
    assert evaluate("monitoring", "__monitoring_packages", **variables) == packages


@pytest.mark.parametrize("path", ["__monitoring_folder", "__monitoring_heartbeat_file"])
def test_removing_the_firewall_deletes_none_of_its_files(evaluate: Evaluate, path: str) -> None:
    assert not evaluate("monitoring", path).startswith(evaluate("firewall", "__firewall_directory") + "/")
