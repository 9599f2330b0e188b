"""daemon.json of the Engine."""

import json

from tests.templates.conftest import Render


def test_logs_are_rotated(render: Render) -> None:
    options = json.loads(render("docker", "daemon.json.j2", docker_log_max_size="5m", docker_log_max_file=2))
    assert options == {
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "5m", "max-file": "2"},
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": "2GB"}},
    }


def test_further_options_are_merged_over_ours(render: Render) -> None:
    further = {"live-restore": False, "log-opts": {"compress": "true"}, "dns": ["192.0.2.1"]}
    options = json.loads(render("docker", "daemon.json.j2", docker_daemon_options=further))
    assert options["live-restore"] is False
    assert options["log-opts"] == {"max-size": "10m", "max-file": "3", "compress": "true"}
    assert options["dns"] == ["192.0.2.1"]
