"""The alerts, and Prometheus' rule file made of them. Each has a runbook of its name in docs/troubleshooting.md."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools.monitoring.catalog import check

RUNBOOKS = "docs/troubleshooting.md"
WIDTH = 130


@dataclass(frozen=True)
class Alert:
    """`lasts` is how long `query` must hold, in Prometheus' notation."""

    name: str
    query: str
    lasts: str
    severity: Literal["critical", "warning"]
    summary: str


_ERRORS = 'autostart_requests_total{status=~"5..",start!="asleep"}'
_ANSWERED = 'autostart_requests_total{start!="asleep"}'
_ROOT = '{mountpoint="/",fstype!~"tmpfs|rootfs"}'

ALERTS = (
    Alert(
        "WhisperHostDown",
        'up{job="whisper-services"} == 0',
        "3m",
        "critical",
        "The server {{ $labels.instance }} does not answer Prometheus.",
    ),
    Alert(
        "WhisperEngineDown",
        "autostart_engine_up == 0",
        "2m",
        "critical",
        "The Docker Engine of {{ $labels.instance }} does not answer: no service can be started.",
    ),
    Alert(
        "WhisperServiceFailed",
        'autostart_state{state="failed"} == 1',
        "2m",
        "critical",
        "{{ $labels.service }} does not start.",
    ),
    Alert(
        "WhisperErrors",
        f"sum by (instance, service) (rate({_ERRORS}[10m]))"
        f" / sum by (instance, service) (rate({_ANSWERED}[10m])) > 0.05"
        f" and sum by (instance, service) (increase({_ERRORS}[10m])) > 3",
        "5m",
        "critical",
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.service }} get server errors (5xx).",
    ),
    Alert(
        "WhisperRequestsRefused",
        'sum by (instance, service) (increase(autostart_requests_total{status="429"}[15m])) > 0'
        ' or sum by (instance, site) (increase(whisper_nginx_responses_total{status="429"}[15m])) > 0',
        "30m",
        "warning",
        "Clients of {{ $labels.service }}{{ $labels.site }} have been refused with 429 for half an hour.",
    ),
    Alert(
        "WhisperJobsWait",
        "whisper_oldest_job_seconds > 3600",
        "5m",
        "warning",
        "A job of {{ $labels.service }} has been waiting for {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "WhisperJobsFail",
        'increase(whisper_job_seconds_count{status="failed"}[1h]) > 0',
        "0m",
        "warning",
        "Jobs of {{ $labels.service }} failed within the last hour: {{ $value | humanize }}.",
    ),
    Alert(
        "WhisperSlow",
        "sum by (instance, service) (rate(whisper_audio_seconds_total[30m]))"
        " / sum by (instance, service) (rate(whisper_engine_seconds_total[30m]) > 0) < 1",
        "30m",
        "warning",
        "{{ $labels.service }} transcribes more slowly than real time ({{ $value | humanize }}x).",
    ),
    Alert(
        "WhisperStartsSlowly",
        "histogram_quantile(0.95, sum by (instance, service, le) (rate(autostart_start_seconds_bucket[6h])))"
        " > on (instance, service) 0.8 * max by (instance, service) (autostart_start_timeout_seconds)",
        "10m",
        "warning",
        "{{ $labels.service }} takes {{ $value | humanizeDuration }} to start, nearly as long as clients wait.",
    ),
    Alert(
        "WhisperMemoryNearlyFull",
        "autostart_container_memory_bytes / (autostart_container_memory_limit_bytes > 0) > 0.9",
        "10m",
        "warning",
        "The container {{ $labels.container }} uses {{ $value | humanizePercentage }} of its memory limit.",
    ),
    Alert(
        "WhisperOutOfMemory",
        "increase(autostart_oom_kills_total[15m]) > 0",
        "0m",
        "critical",
        "The kernel killed a process of the container {{ $labels.container }} for lack of memory.",
    ),
    Alert(
        "WhisperDiskFillsUp",
        f"predict_linear(node_filesystem_avail_bytes{_ROOT}[6h], 86400) < 0"
        f" and node_filesystem_avail_bytes{_ROOT} / node_filesystem_size_bytes{_ROOT} < 0.25"
        f" or node_filesystem_avail_bytes{_ROOT} < 1e9",
        "30m",
        "critical",
        "The disk of {{ $labels.instance }} is full, or will be within a day.",
    ),
    Alert(
        "WhisperCertificateExpires",
        "whisper_certificate_expiry_timestamp_seconds - time() < 14 * 86400",
        "1h",
        "warning",
        "The certificate of {{ $labels.certificate }} expires in {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "WhisperBackupOld",
        "time() - whisper_backup_timestamp_seconds > 8 * 86400",
        "1h",
        "warning",
        "The last backup of {{ $labels.instance }} is {{ $value | humanizeDuration }} old.",
    ),
)


def rule_file() -> str:
    """YAML that Prometheus loads. Raises ValueError if an alert names a metric that does not exist."""
    head = ["---", "# Written by `make docs` from tools/monitoring/alerts.py.", "groups:"]
    group = ["  - name: whisper-services", "    rules:"]
    return "\n".join([*head, *group, *(line for alert in ALERTS for line in _rule(alert))]) + "\n"


def _rule(alert: Alert) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield from _folded("expr", check(alert.query), " " * 8)
    yield f"        for: {alert.lasts}"
    yield "        labels:"
    yield f"          severity: {alert.severity}"
    yield "        annotations:"
    yield from _folded("summary", alert.summary, " " * 10)
    yield f"          runbook: {RUNBOOKS}#{alert.name.lower()}"


def _folded(key: str, text: str, indentation: str) -> Iterator[str]:
    """A YAML string over several lines, which reading joins with spaces."""
    yield f"{indentation}{key}: >-"
    inner = f"{indentation}  "
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=inner, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False
    )
