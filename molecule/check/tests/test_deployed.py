"""Check mode on a deployed server."""

import re
from collections.abc import Callable

from testinfra.host import Host


def test_without_a_change_there_is_none(check: Callable[..., str], state: Callable[[], str]) -> None:
    before = state()
    assert re.search(r"whisper-check\s+: ok=\d+\s+changed=0 ", check())
    assert state() == before


def test_a_change_is_shown_and_not_made(check: Callable[..., str], state: Callable[[], str]) -> None:
    before = state()
    printed = check(whisper_faster_memory="3g", nginx_client_max_body_size="1G", autostart_idle_timeout="77")
    assert re.search(r"^\+\s+mem_limit: 3g$", printed, re.MULTILINE)
    assert re.search(r"^\+.*client_max_body_size 1G;$", printed, re.MULTILINE)
    assert re.search(r'^\+\s+"idleTimeout": 77', printed, re.MULTILINE)
    assert state() == before


def test_another_key_is_not_shown(check: Callable[..., str], state: Callable[[], str]) -> None:
    before = state()
    key = "another-key-0123456789abcdef0123456789"
    printed = check(nginx_api_keys=[{"name": "another", "key": key}])
    assert key not in printed
    assert state() == before


def test_other_names_are_shown_whose_certificates_are_still_to_be_made(
    check: Callable[..., str], state: Callable[[], str]
) -> None:
    before = state()
    printed = check(site_domain="renamed.localhost")
    assert re.search(r"^\+\s+server_name whisper\.renamed\.localhost;$", printed, re.MULTILINE)
    assert state() == before


def test_a_key_that_is_put_in_force_and_used_is_not_shown(site: Callable[..., str]) -> None:
    key = "further-key-0123456789abcdef0123456789"
    printed = site(nginx_api_keys=[{"name": "further", "key": key}])
    assert "transcribed" in printed, "the recording was sent with that key"
    assert key not in printed


def test_a_run_mends_what_a_hand_changed(site: Callable[..., str], host: Host) -> None:
    units = ["docker.service", "nginx.service", "docker-autostart.socket", "docker-autostart.service"]
    spoil = [
        f"systemctl disable --now {' '.join(units[1:])}",
        "chmod 0666 /etc/systemd/system/docker-autostart.service",
        "chown nobody /opt/docker-autostart/config.json",
        "echo net.ipv4.tcp_syncookies=0 >/etc/sysctl.d/60-whisper-services.conf",
        "rm /usr/local/bin/docker-autostart",
    ]
    host.check_output("; ".join(spoil))
    site()
    assert [unit for unit in units if not (host.service(unit).is_running and host.service(unit).is_enabled)] == []
    assert host.file("/etc/systemd/system/docker-autostart.service").mode == 0o644
    assert host.file("/opt/docker-autostart/config.json").user == "root"
    assert host.run("grep -rlx net.ipv4.tcp_syncookies=0 /etc/sysctl.d").stdout == ""
    assert host.file("/usr/local/bin/docker-autostart").is_symlink
