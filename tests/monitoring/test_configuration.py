"""What the role writes for Prometheus and Alertmanager is what these programs read."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.conftest import Program
from tests.templates.conftest import Render

NASTY = "p\"a'ss { word } \\ # : é"
MAIL: dict[str, Any] = {
    "inventory_hostname": "srv1.example.com",
    "monitoring_state": "present",
    "monitoring_alert_email": "owner@example.com",
    "monitoring_smtp_host": "smtp.example.com",
    "monitoring_smtp_user": "owner@example.com",
}


def checked(program: Program, tmp_path: Path, text: str, *command: str) -> Any:
    """The document, if its program accepts it."""
    file = tmp_path / "file.yml"
    file.write_text(text, encoding="utf-8")
    name, *arguments = command
    done = subprocess.run([program(name), *arguments, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return yaml.safe_load(text)


def test_prometheus_reads_its_configuration(render: Render, program: Program, tmp_path: Path) -> None:
    text = render("monitoring", "prometheus.yml.j2", **MAIL)
    read = checked(program, tmp_path, text, "promtool", "check", "config", "--syntax-only")
    assert read["rule_files"] == ["/etc/whisper-services-monitoring/rules.yml"]
    assert [job["job_name"] for job in read["scrape_configs"]] == ["whisper-services", "node"]
    assert {job["static_configs"][0]["labels"]["instance"] for job in read["scrape_configs"]} == {"srv1.example.com"}


def test_alertmanager_reads_any_password(render: Render, program: Program, tmp_path: Path) -> None:
    text = render("monitoring", "alertmanager.yml.j2", **MAIL, monitoring_smtp_password=NASTY)
    read = checked(program, tmp_path, text, "amtool", "check-config")
    assert read["global"]["smtp_auth_password"] == NASTY
    assert read["global"]["smtp_smarthost"] == "smtp.example.com:587"
    assert read["global"]["smtp_require_tls"] is True
    assert read["receivers"][0]["email_configs"][0]["to"] == "owner@example.com"


@pytest.mark.parametrize(
    ("variables", "receivers"),
    [
        ({}, set()),
        ({"monitoring_alert_webhook": "https://hooks.example.com/a?b=c&d"}, {"webhook_configs"}),
        (MAIL | {"monitoring_alert_webhook": "https://hooks.example.com/"}, {"email_configs", "webhook_configs"}),
    ],
)
def test_alertmanager_reads_every_set_of_receivers(
    render: Render, program: Program, tmp_path: Path, variables: dict[str, Any], receivers: set[str]
) -> None:
    text = render("monitoring", "alertmanager.yml.j2", **{"inventory_hostname": "srv1"} | variables)
    (receiver,) = checked(program, tmp_path, text, "amtool", "check-config")["receivers"]
    assert set(receiver) == {"name", *receivers}


def test_a_mail_server_on_port_465_needs_no_starttls(render: Render, program: Program, tmp_path: Path) -> None:
    text = render("monitoring", "alertmanager.yml.j2", **MAIL, monitoring_smtp_port=465)
    assert checked(program, tmp_path, text, "amtool", "check-config")["global"]["smtp_require_tls"] is False
