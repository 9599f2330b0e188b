"""What the daemon is configured with, and how systemd runs it."""

import configparser
from pathlib import Path
from typing import Any

from docker_autostart.configuration import Configuration, parse_configuration
from tests.templates.conftest import Render

MINIMAL = {
    "host": "whisper.example.com",
    "compose_dir": "/opt/whisper-faster",
    "containers": ["faster-whisper"],
    "proxy_port": 8001,
}
EVERYTHING = MINIMAL | {
    "name": 'Whisper "API"',
    "compose_file": "stack.yml",
    "blocking": False,
    "theme": "dark",
    "idle_timeout": 60,
    "start_timeout": 90,
    "ready_path": "/ready",
    "ready_status": 200,
    "busy_path": "/jobs/count",
    "metrics_path": "/metrics",
    "memory_mb": 800,
    "no_wake_paths": ["/health"],
    "no_wake_methods": ["HEAD"],
    "no_wake_user_agents": ["Monitor"],
}


def configuration(render: Render, **variables: Any) -> Configuration:
    """What the daemon itself reads from the rendered file."""
    return parse_configuration(render("autostart", "config.json.j2", **variables))


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_without_services_the_configuration_is_valid(render: Render) -> None:
    assert configuration(render).services == {}


def test_a_service_gets_the_roles_times_and_rules(render: Render) -> None:
    read = configuration(render, autostart_services=[MINIMAL], autostart_idle_timeout=20, autostart_start_timeout="60")
    service = read.services["whisper.example.com"]
    assert read.port == 8890
    assert read.memory_budget_mb is None
    assert (service.idle_timeout, service.start_timeout, service.blocking) == (20, 60, True)
    assert service.compose_dir == Path("/opt/whisper-faster")
    assert service.no_wake_paths == {"/health", "/ready", "/metrics"}
    assert "UptimeRobot" in service.no_wake_user_agents


def test_every_key_of_a_service_reaches_the_daemon(render: Render) -> None:
    read = configuration(render, autostart_services=[EVERYTHING], autostart_memory_budget_mb=2000)
    service = read.services["whisper.example.com"]
    assert read.memory_budget_mb == 2000
    assert (service.name, service.theme, service.blocking) == ('Whisper "API"', "dark", False)
    assert service.compose_file == Path("/opt/whisper-faster/stack.yml")
    assert (service.idle_timeout, service.start_timeout) == (60, 90)
    assert (service.ready_path, service.ready_status, service.busy_path) == ("/ready", 200, "/jobs/count")
    assert (service.memory_mb, service.metrics_path) == (800, "/metrics")
    assert service.no_wake_paths == {"/health"}
    assert service.no_wake_methods == {"HEAD"}
    assert service.no_wake_user_agents == ("Monitor",)


def test_services_may_differ(render: Render) -> None:
    other = MINIMAL | {"host": "whisperx.example.com", "containers": ["whisperx"], "proxy_port": 8002}
    read = configuration(render, autostart_services=[MINIMAL, other])
    assert [service.proxy_port for service in read.services.values()] == [8001, 8002]


def test_the_socket_is_on_the_loopback(render: Render) -> None:
    socket = unit(render("autostart", "docker-autostart.socket.j2", autostart_port=9000))
    assert socket["Socket"]["ListenStream"] == "127.0.0.1:9000"


def test_the_daemon_is_confined_and_outlives_the_engine(render: Render) -> None:
    service = unit(render("autostart", "docker-autostart.service.j2"))
    assert service["Service"]["ExecStart"].startswith(
        "/opt/docker-autostart/venv/bin/python -m docker_autostart serve "
    )
    assert service["Service"]["CapabilityBoundingSet"] == ""
    assert service["Service"]["ProtectSystem"] == "strict"
    assert "docker.service" not in service["Unit"]["Requires"]
