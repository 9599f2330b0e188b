"""The Grafana dashboard, in the JSON of its import (schema version 39, Grafana 10.4 and newer)."""

import json
from dataclasses import dataclass
from typing import Any

from tools.monitoring.catalog import check

WIDTH, HEIGHT = 12, 8
"""Of a panel, in Grafana's grid of 24 columns."""

_SELECTED = 'instance=~"$instance",service=~"$service"'
_AWAKE = f'{_SELECTED},start!="asleep"'


@dataclass(frozen=True)
class Panel:
    """`queries` by their legend; `kind` and `unit` are Grafana's words."""

    title: str
    description: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"


PANELS = (
    Panel(
        "Services",
        "State of each service over time: stopped, starting, ready, draining, stopping, failed.",
        {"{{service}}: {{state}}": f"autostart_state{{{_SELECTED}}} == 1"},
        kind="state-timeline",
    ),
    Panel(
        "Requests",
        "Requests per second by status; asleep are monitors' requests to stopped services.",
        {
            "{{status}} {{start}}": "sum by (status, start)"
            f" (rate(autostart_requests_total{{{_SELECTED}}}[$__rate_interval]))"
        },
        "reqps",
    ),
    Panel(
        "Server errors",
        "Share of requests with a 5xx status, without those of monitors to stopped services.",
        {
            "{{service}}": f'sum by (service) (rate(autostart_requests_total{{{_AWAKE},status=~"5.."}}[10m]))'
            f" / sum by (service) (rate(autostart_requests_total{{{_AWAKE}}}[10m]))"
        },
        "percentunit",
    ),
    Panel(
        "Audio per day",
        "Hours of audio transcribed within the last 24 hours.",
        {"{{service}}": f"sum by (service) (increase(whisper_audio_seconds_total{{{_SELECTED}}}[1d])) / 3600"},
        "h",
    ),
    Panel(
        "Audio per day by client",
        "Hours of audio transcribed within the last 24 hours, by API key or user.",
        {"{{client}}": f"sum by (client) (increase(whisper_client_audio_seconds_total{{{_SELECTED}}}[1d])) / 3600"},
        "h",
    ),
    Panel(
        "Requests per day by client",
        "Requests within the last 24 hours, by API key or user.",
        {"{{client}}": f"sum by (client) (increase(autostart_client_requests_total{{{_SELECTED}}}[1d]))"},
    ),
    Panel(
        "Real-time factor",
        "Seconds of audio per second of processing: 10 is ten times faster than real time.",
        {
            "{{service}} {{model}}": f"sum by (service, model) (rate(whisper_audio_seconds_total{{{_SELECTED}}}[30m]))"
            f" / sum by (service, model) (rate(whisper_engine_seconds_total{{{_SELECTED}}}[30m]) > 0)"
        },
    ),
    Panel(
        "Queue",
        "Requests that run or wait in the service, and requests that wait for a start.",
        {
            "{{service}}: in the service": f"whisper_requests_in_queue{{{_SELECTED}}}",
            "{{service}}: for a start": f"autostart_requests_waiting{{{_SELECTED}}}",
        },
    ),
    Panel(
        "Jobs",
        "Jobs by status.",
        {"{{service}}: {{status}}": f"whisper_jobs{{{_SELECTED}}}"},
    ),
    Panel(
        "Waiting time of jobs",
        "Age of the oldest waiting job, and the 95th percentile of the time from creation to start.",
        {
            "{{service}}: oldest": f"whisper_oldest_job_seconds{{{_SELECTED}}}",
            "{{service}}: 95th percentile": "histogram_quantile(0.95, sum by (service, le)"
            f" (rate(whisper_job_wait_seconds_bucket{{{_SELECTED}}}[1h])))",
        },
        "s",
    ),
    Panel(
        "Cold starts",
        "Time until a started service was ready, median and 95th percentile of the last six hours.",
        {
            f"{{{{service}}}}: {name}": f"histogram_quantile({quantile}, sum by (service, le)"
            f" (rate(autostart_start_seconds_bucket{{{_SELECTED}}}[6h])))"
            for name, quantile in (("median", 0.5), ("95th percentile", 0.95))
        },
        "s",
    ),
    Panel(
        "Memory",
        "Memory of the containers, without page cache, and their limits.",
        {
            "{{container}}": f"autostart_container_memory_bytes{{{_SELECTED}}}",
            "{{container}}: limit": f"autostart_container_memory_limit_bytes{{{_SELECTED}}}",
        },
        "bytes",
    ),
    Panel(
        "Refused requests",
        "401, 413 and 429 in nginx' access log, per hour.",
        {
            "{{site}}: {{status}}": "sum by (site, status)"
            ' (increase(whisper_nginx_responses_total{instance=~"$instance",status=~"401|413|429"}[1h]))'
        },
    ),
    Panel(
        "Disk",
        "Free space of the root file system.",
        {"{{instance}}": 'node_filesystem_avail_bytes{mountpoint="/",fstype!~"tmpfs|rootfs"}'},
        "bytes",
    ),
    Panel(
        "Certificates",
        "Days until they expire.",
        {"{{certificate}}": '(whisper_certificate_expiry_timestamp_seconds{instance=~"$instance"} - time()) / 86400'},
        "d",
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard. Raises ValueError if a panel names a metric that does not exist."""
    return {
        "title": "Whisper Services",
        "uid": "whisper-services",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "tags": ["whisper-services"],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                _variable("instance", "Server", "autostart_build_info"),
                _variable("service", "Service", 'autostart_state{instance=~"$instance"}'),
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _variable(name: str, label: str, series: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _datasource(),
        "query": f"label_values({check(series)}, {name})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _datasource(),
        "gridPos": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": check(query), "legendFormat": legend, "datasource": _datasource()}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _datasource() -> dict[str, str]:
    return {"type": "prometheus", "uid": "${datasource}"}


def dashboard_file() -> str:
    """JSON that Grafana imports."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
