"""`group_vars/all`: what one role makes and another one uses."""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader

from tests.templates.conftest import Evaluate, Render

ROOT = Path(__file__).parents[2]
FASTER_WHISPER = "whisper.example.com"
WHISPERX = "whisperx.example.com"
PORTAL = "portal.example.com"


@pytest.fixture
def wiring() -> dict[str, Any]:
    """`group_vars/all`, of a host that an inventory says nothing of."""
    variables: dict[str, Any] = DataLoader().load_from_file(
        str(ROOT / "group_vars/all/main.yml"), trusted_as_template=True
    )
    return variables | {"inventory_hostname": "example.com", "inventory_dir": "/inventory", "groups": {}}


def test_the_daemon_knows_the_services_of_the_guide(render: Render, wiring: dict[str, Any]) -> None:
    document = json.loads(render("autostart", "config.json.j2", **wiring))
    assert document["services"] == {
        FASTER_WHISPER: {
            "name": "Whisper API (faster-whisper)",
            "composeDir": "/opt/whisper-faster",
            "containers": ["faster-whisper"],
            "proxyPort": 8001,
            "busyPath": "/busy",
            "metricsPath": "/metrics",
            "memoryMb": 2048,
        },
        WHISPERX: {
            "name": "WhisperX API (with diarization)",
            "composeDir": "/opt/whisperx",
            "containers": ["whisperx"],
            "proxyPort": 8002,
            "busyPath": "/busy",
            "metricsPath": "/metrics",
            "memoryMb": 2048,
        },
    }


@pytest.mark.parametrize(
    ("variables", "is_served"),
    [
        ({}, False),
        ({"monitoring_mode": "remote"}, False),
        ({"monitoring_state": "present"}, False),
        ({"monitoring_state": "present", "monitoring_mode": "remote"}, True),
    ],
)
def test_metrics_are_served_to_the_outside_in_mode_remote_only(
    evaluate: Evaluate, wiring: dict[str, Any], variables: dict[str, Any], is_served: bool
) -> None:
    sites = evaluate("nginx", "nginx_sites", **wiring | variables)
    snippets = {site["name"]: site.get("snippet", "") for site in sites}
    assert ("location = /metrics {" in snippets[PORTAL]) is is_served
    assert not snippets[FASTER_WHISPER]


MODES = [
    {},
    {"monitoring_mode": "remote"},
    {"monitoring_state": "present"},
    {"monitoring_state": "present", "monitoring_mode": "remote"},
]


@pytest.mark.parametrize("variables", MODES)
def test_no_location_of_the_portal_stands_there_twice(
    render: Render, evaluate: Evaluate, wiring: dict[str, Any], variables: dict[str, Any]
) -> None:
    """nginx refuses a configuration with one."""
    portal = evaluate("nginx", "nginx_sites", **wiring | variables)[-1]
    site = render(
        "nginx",
        "site.conf.j2",
        item=portal,
        ansible_facts={"distribution": "Debian", "distribution_major_version": "13"},
    )
    server = site[site.index("listen 443") :]
    locations = re.findall(r"^ *location (.*) \{$", server, re.MULTILINE)
    assert sorted(locations) == sorted(set(locations))
    for name in re.findall(r"auth_request (.*);", server):
        assert f"= {name}" in locations


def test_monitoring_watches_the_certificates_of_all_sites(evaluate: Evaluate, wiring: dict[str, Any]) -> None:
    assert evaluate("monitoring", "monitoring_certificates", **wiring) == [
        f"/etc/ssl/whisper-services/{name}/fullchain.pem" for name in (FASTER_WHISPER, WHISPERX, PORTAL)
    ]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, [FASTER_WHISPER, WHISPERX]),
        ({"whisperx_state": "absent"}, [FASTER_WHISPER]),
        ({"whisper_faster_state": "absent"}, [WHISPERX]),
        ({"groups": {"whisperx": ["example.com"]}}, [FASTER_WHISPER, WHISPERX]),
        ({"groups": {"whisperx": ["other.example.com"]}}, [FASTER_WHISPER]),
        ({"groups": {"whisperx": ["example.com"], "whisper_faster": ["other.example.com"]}}, [WHISPERX]),
    ],
)
def test_a_service_that_is_not_on_the_host_has_nothing_there(
    evaluate: Evaluate, wiring: dict[str, Any], variables: dict[str, Any], expected: list[str]
) -> None:
    known = wiring | variables
    assert [service["host"] for service in evaluate("autostart", "autostart_services", **known)] == expected
    assert evaluate("certificates", "certificates_names", **known) == [*expected, PORTAL]
    assert [site["name"] for site in evaluate("nginx", "nginx_sites", **known)] == [*expected, PORTAL]
    assert [service["name"] for service in evaluate("portal", "portal_services", **known)] == [
        {FASTER_WHISPER: "faster-whisper", WHISPERX: "whisperx"}[name] for name in expected
    ]
    assert [service["url"] for service in evaluate("verify", "verify_services", **known)] == [
        f"https://{name}" for name in expected
    ]


def test_sites_lead_to_the_daemon_with_a_certificate_each(evaluate: Evaluate, wiring: dict[str, Any]) -> None:
    *services, portal = evaluate(
        "nginx", "nginx_sites", **wiring | {"certificates_aliases": {WHISPERX: ["x.example.com"]}}
    )
    assert services == [
        {
            "name": name,
            "upstream": "127.0.0.1:8890",
            "certificate": f"/etc/ssl/whisper-services/{name}",
            "aliases": aliases,
        }
        for name, aliases in ((FASTER_WHISPER, []), (WHISPERX, ["x.example.com"]))
    ]
    assert (portal["name"], portal["root"]) == (PORTAL, "/var/www/whisper-portal")
    assert f"connect-src 'self' https://{FASTER_WHISPER} https://{WHISPERX};" in portal["content_security_policy"]
    assert "media-src blob:;" in portal["content_security_policy"]
    assert "upstream" not in portal
    assert portal["services"] == [
        {"path": "whisper", "host": FASTER_WHISPER, "upstream": "127.0.0.1:8890"},
        {"path": "whisperx", "host": WHISPERX, "upstream": "127.0.0.1:8890"},
    ]


@pytest.mark.parametrize(("variables", "speakers"), [({}, False), ({"whisperx_hf_token": "hf_abc"}, True)])
def test_the_page_offers_speakers_where_they_can_be_told(
    evaluate: Evaluate, wiring: dict[str, Any], variables: dict[str, Any], speakers: bool
) -> None:
    services = evaluate("portal", "__portal_page_services", **wiring, nginx_client_max_body_size="1G", **variables)
    assert [(service["path"], service["limit"], service["speakers"]) for service in services] == [
        ("whisper", 1024**3, False),
        ("whisperx", 1024**3, speakers),
    ]


@pytest.mark.parametrize(
    ("variables", "diarize"),
    [
        ({}, False),
        ({"whisperx_hf_token": "hf_abc"}, True),
        ({"whisperx_diarize_model": "/models/diarization"}, True),
        ({"whisperx_diarize_model": "acme/diarization"}, False),
        ({"whisperx_diarize_model": "", "whisperx_hf_token": "hf_abc"}, False),
    ],
)
def test_speakers_are_asked_for_where_they_can_be_told(
    evaluate: Evaluate, wiring: dict[str, Any], variables: dict[str, Any], diarize: bool
) -> None:
    services = evaluate("verify", "verify_services", **wiring, **variables)
    assert [service["diarize"] for service in services] == [False, diarize]


def test_memory_is_the_limit_of_the_container(evaluate: Evaluate, wiring: dict[str, Any]) -> None:
    services = evaluate("autostart", "autostart_services", **wiring, whisper_faster_memory="900m", whisperx_memory="3G")
    assert [service["memory_mb"] for service in services] == [900, 3072]


@pytest.mark.parametrize(("longest", "expected"), [(30, 600), (600, 660)])
def test_nginx_waits_longer_than_the_daemon(
    evaluate: Evaluate, wiring: dict[str, Any], longest: int, expected: int
) -> None:
    assert evaluate("nginx", "nginx_proxy_read_timeout", **wiring, autostart_start_timeout=longest) == expected


def test_apt_is_told_to_note_by_the_file_that_the_role_writes(evaluate: Evaluate, wiring: dict[str, Any]) -> None:
    assert wiring["site_environment"] == {"APT_CONFIG": evaluate("packages", "__packages_noting")}


def test_the_engine_and_certbot_are_left_to_their_roles(evaluate: Evaluate) -> None:
    (play,) = DataLoader().load_from_file(str(ROOT / "playbooks/uninstall.yml"))
    kept = {name for task in play["tasks"] for name in task.get("vars", {}).get("packages_kept", [])}
    assert kept == {"certbot", *chain.from_iterable(evaluate("docker", "__docker_packages").values())}
