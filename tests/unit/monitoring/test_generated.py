"""What is generated is up to date, and names no metric that does not exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tools.monitoring import catalog
from tools.monitoring.__main__ import RULES, contents, documented
from tools.monitoring.alerts import ALERTS, RUNBOOKS
from tools.monitoring.dashboard import PANELS, dashboard_file

ROOT = Path(__file__).parents[3]
FACTS = {"en": ("Means", "Look at", "Do"), "fr": ("Signification", "À vérifier", "À faire")}


def test_generated_files_are_what_make_docs_writes() -> None:
    for path, content in contents().items():
        assert path.read_text(encoding="utf-8") == content, f"{path} is not up to date: make docs"


def test_a_metric_that_does_not_exist_is_refused() -> None:
    for query in (
        "whisper_oldest_job",
        "rate(autostart_requests[5m])",
        'sum by (service) (whisper_x{status="a"}) / up',
    ):
        with pytest.raises(ValueError, match="no such metric"):
            catalog.check(query)
    good = 'sum by (whisper_x, autostart_y) (autostart_requests_total{whisper_z="autostart_q"}) > on (whisper_a) up'
    assert catalog.check(good) == good
    assert catalog.named_metrics(good) == {"autostart_requests_total", "up"}


def test_names_follow_prometheus_conventions() -> None:
    for entry in catalog.entries():
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", entry.name), entry.name
        assert not entry.name.endswith(("_total", "_count", "_sum", "_bucket", "_info_total")), entry.name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|mb|megabytes|percent)(_|$)", entry.name)
        assert entry.text.endswith("."), entry.name
        if entry.kind == "histogram":
            assert entry.name.endswith("_seconds"), entry.name


def test_the_rule_file_says_what_the_alerts_say() -> None:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    written = [(rule["alert"], rule["expr"], rule["for"], rule["annotations"]["summary"]) for rule in group["rules"]]
    assert written == [(alert.name, alert.query, alert.lasts, alert.summary) for alert in ALERTS]


def test_names_are_given_once() -> None:
    names = [entry.name for entry in catalog.entries()]
    assert sorted(set(names)) == sorted(names)


def test_a_document_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="has no"):
        documented("# Monitoring\n")


@pytest.mark.parametrize(("language", "document"), [("en", RUNBOOKS), ("fr", "docs/fr/troubleshooting.md")])
def test_every_alert_has_a_runbook_and_every_runbook_an_alert(language: str, document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (Whisper\w+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == [alert.name for alert in ALERTS]
    for name, section in sections.items():
        facts = tuple(fact.strip() for fact in re.findall(r"^- \*([^:*]+):\*", section, re.MULTILINE))
        assert facts == FACTS[language], name


def test_panels_have_titles_of_their_own_and_a_place_of_their_own() -> None:
    panels = json.loads(dashboard_file())["panels"]
    assert len({panel["title"] for panel in panels}) == len(PANELS)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(PANELS)
    assert len({panel["id"] for panel in panels}) == len(PANELS)


def test_the_rules_are_where_the_role_looks_for_them() -> None:
    assert "'rules/whisper-services.yml'" in (ROOT / "roles/monitoring/vars/main.yml").read_text(encoding="utf-8")
    assert RULES.is_file()
