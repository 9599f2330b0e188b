"""Each alert fires when it should and is silent when it should be, as Prometheus itself evaluates the rules."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.monitoring.conftest import Program
from tools.monitoring.__main__ import RULES
from tools.monitoring.alerts import ALERTS

SERVICE = 'instance="h",service="whisper.h"'
ROOT = 'mountpoint="/",fstype="ext4",instance="h"'


@dataclass(frozen=True)
class Case:
    """Values of series in promtool's notation, one each `interval`, and when the alert is looked at."""

    alert: str
    fires: bool
    at: str
    series: Mapping[str, str]
    interval: str = "1m"


def requests(status: int, start: str = "warm") -> str:
    return f'autostart_requests_total{{{SERVICE},status="{status}",start="{start}"}}'


def starts(bound: str) -> str:
    return f'autostart_start_seconds_bucket{{{SERVICE},le="{bound}"}}'


AUDIO = f'whisper_audio_seconds_total{{{SERVICE},model="small"}}'
ENGINE = f'whisper_engine_seconds_total{{{SERVICE},model="small"}}'
TIMEOUT = f"autostart_start_timeout_seconds{{{SERVICE}}}"
UP = 'up{job="whisper-services",instance="h"}'
FAILED = f'autostart_state{{{SERVICE},state="failed"}}'
FAILED_JOBS = f'whisper_job_seconds_count{{{SERVICE},status="failed"}}'
OLDEST = f"whisper_oldest_job_seconds{{{SERVICE}}}"
MEMORY = f'autostart_container_memory_bytes{{{SERVICE},container="c"}}'
LIMIT = f'autostart_container_memory_limit_bytes{{{SERVICE},container="c"}}'
KILLS = f'autostart_oom_kills_total{{{SERVICE},container="c"}}'
CERTIFICATE = 'whisper_certificate_expiry_timestamp_seconds{instance="h",certificate="whisper.h"}'
BACKUP = 'whisper_backup_timestamp_seconds{instance="h"}'
NGINX = 'whisper_nginx_responses_total{instance="h",site="whisper.h",status="429"}'
FREE = f"node_filesystem_avail_bytes{{{ROOT}}}"
SIZE = f"node_filesystem_size_bytes{{{ROOT}}}"

CASES = (
    Case("WhisperHostDown", True, "10m", {UP: "1 1 0x20"}),
    Case("WhisperHostDown", False, "10m", {UP: "1 0 0 1x20"}),
    Case("WhisperEngineDown", True, "10m", {"autostart_engine_up{}": "0x20"}),
    Case("WhisperEngineDown", False, "10m", {"autostart_engine_up{}": "1x20"}),
    Case("WhisperServiceFailed", True, "10m", {FAILED: "1x20"}),
    # It sleeps; and one that started at the second attempt.
    Case("WhisperServiceFailed", False, "10m", {FAILED: "0x20", FAILED.replace("failed", "stopped"): "1x20"}),
    Case("WhisperServiceFailed", False, "10m", {FAILED: "0x7 1 0x20"}),
    Case("WhisperErrors", True, "30m", {requests(200): "0+10x40", requests(502): "0+2x40"}),
    Case("WhisperErrors", True, "30m", {requests(200): "0+10x40", requests(504, "cold"): "0+2x40"}),
    Case("WhisperErrors", False, "30m", {requests(200): "0+100x40", requests(502): "0+2x40"}),
    # Monitors ask a service that sleeps; and a single error at night.
    Case("WhisperErrors", False, "30m", {requests(200): "0+1x40", requests(503, "asleep"): "0+60x40"}),
    Case("WhisperErrors", False, "30m", {requests(200): "0x40", requests(500): "0x25 1x20"}),
    Case("WhisperRequestsRefused", True, "60m", {requests(429): "0+1x60"}),
    Case("WhisperRequestsRefused", True, "60m", {NGINX: "0+1x60"}),
    Case("WhisperRequestsRefused", False, "60m", {requests(429): "0x40 50x30", NGINX: "0x60"}),
    Case("WhisperRequestsRefused", False, "60m", {requests(429): "50x60"}),
    Case("WhisperJobsWait", True, "20m", {OLDEST: "4000+60x30"}),
    Case("WhisperJobsWait", False, "20m", {OLDEST: "0+60x30"}),
    Case("WhisperJobsFail", True, "15m", {FAILED_JOBS: "0x10 1x20"}),
    Case("WhisperJobsFail", False, "15m", {FAILED_JOBS: "7x30"}),
    Case("WhisperSlow", True, "65m", {AUDIO: "0+30x70", ENGINE: "0+50x70"}),
    Case("WhisperSlow", False, "65m", {AUDIO: "0+300x70", ENGINE: "0+50x70"}),
    # Nothing to do.
    Case("WhisperSlow", False, "65m", {AUDIO: "9x70", ENGINE: "9x70"}),
    Case(
        "WhisperStartsSlowly",
        True,
        "120m",
        {starts("15"): "0x130", starts("30"): "0+1x130", starts("+Inf"): "0+1x130", TIMEOUT: "30x130"},
    ),
    Case(
        "WhisperStartsSlowly",
        False,
        "120m",
        {starts("4"): "0+1x130", starts("30"): "0+1x130", starts("+Inf"): "0+1x130", TIMEOUT: "30x130"},
    ),
    Case("WhisperMemoryNearlyFull", True, "20m", {MEMORY: "1950000000x30", LIMIT: "2000000000x30"}),
    Case("WhisperMemoryNearlyFull", False, "20m", {MEMORY: "1000000000x30", LIMIT: "2000000000x30"}),
    Case("WhisperMemoryNearlyFull", False, "20m", {MEMORY: "1950000000x30", LIMIT: "0x30"}),
    Case("WhisperOutOfMemory", True, "15m", {KILLS: "0x10 1x20"}),
    Case("WhisperOutOfMemory", False, "15m", {KILLS: "1x30"}),
    Case("WhisperDiskFillsUp", True, "420m", {FREE: "12000000000-20000000x430", SIZE: "50000000000x430"}),
    Case("WhisperDiskFillsUp", True, "420m", {FREE: "500000000x430", SIZE: "50000000000x430"}),
    Case("WhisperDiskFillsUp", False, "420m", {FREE: "40000000000x430", SIZE: "50000000000x430"}),
    # A model is downloaded onto a disk with much room.
    Case("WhisperDiskFillsUp", False, "420m", {FREE: "40000000000x400 38000000000x30", SIZE: "50000000000x430"}),
    Case("WhisperCertificateExpires", True, "120m", {CERTIFICATE: "1000000x130"}),
    Case("WhisperCertificateExpires", False, "120m", {CERTIFICATE: "2000000x130"}),
    Case("WhisperBackupOld", True, "240h", {BACKUP: "0x300"}, interval="1h"),
    Case("WhisperBackupOld", False, "240h", {BACKUP: "600000x300"}, interval="1h"),
)


def test_every_alert_is_seen_firing_and_silent() -> None:
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires is fires} == {alert.name for alert in ALERTS}


def test_prometheus_accepts_the_rules(program: Program) -> None:
    subprocess.run([program("promtool"), "check", "rules", RULES], check=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.fires}")
def test_an_alert(case: Case, program: Program, tmp_path: Path) -> None:
    firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})'
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": case.interval,
        "tests": [
            {
                "interval": case.interval,
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "promql_expr_test": [
                    {
                        "expr": firing,
                        "eval_time": case.at,
                        "exp_samples": [{"labels": "{}", "value": 1}] if case.fires else [],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(document))
    tested = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
