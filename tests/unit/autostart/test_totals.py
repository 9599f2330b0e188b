"""Counters across restarts of what counts them, of the daemon, and of the host."""

import asyncio
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from docker_autostart import totals as module
from docker_autostart.totals import Totals
from docker_autostart.totals_file import TotalsFile

SOURCE = "whisper.example.com"


class Server:
    """One run of a program that counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("whisper_requests", "Requests.", ["client"], registry=self.registry)
        self.seconds = Histogram("whisper_seconds", "Seconds.", buckets=(1, 10), registry=self.registry)
        self.queue = Gauge("whisper_queue", "Queue.", registry=self.registry)


def value(totals: Totals, name: str, **labels: str) -> float | None:
    values = [
        sample.value
        for family in totals.families(SOURCE)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(values) <= 1
    return values[0] if values else None


def test_sums_go_on_over_restarts_and_present_values_are_not_kept() -> None:
    totals = Totals()
    for run in ("1", "2", "3"):
        server = Server()
        for _ in range(2):
            server.requests.labels("phone").inc()
            server.seconds.observe(5)
            totals.update(SOURCE, run, server.registry.collect())
    assert value(totals, "whisper_requests_total", client="phone") == 6
    assert value(totals, "whisper_seconds_bucket", le="10.0") == 6
    assert value(totals, "whisper_seconds_bucket", le="1.0") == 0
    assert value(totals, "whisper_seconds_sum") == 30
    assert value(totals, "whisper_seconds_count") == 6
    assert value(totals, "whisper_queue") is None
    assert not any("created" in sample.name for family in totals.families(SOURCE) for sample in family.samples)


def test_a_new_run_that_counts_fast_is_told_from_the_old_one() -> None:
    """It had counted more than the old one before it was read for the first time."""
    totals = Totals()
    old, new = Server(), Server()
    old.requests.labels("phone").inc(3)
    totals.update(SOURCE, "1", old.registry.collect())
    new.requests.labels("phone").inc(5)
    totals.update(SOURCE, "2", new.registry.collect())
    assert value(totals, "whisper_requests_total", client="phone") == 8


def test_a_process_that_restarts_within_its_container_loses_nothing() -> None:
    totals = Totals()
    for count in (3, 1):
        server = Server()
        server.requests.labels("phone").inc(count)
        totals.update(SOURCE, "1", server.registry.collect())
    assert value(totals, "whisper_requests_total", client="phone") == 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.booleans()), max_size=30))
def test_no_sum_ever_falls(steps: list[tuple[bool, int, bool]]) -> None:
    """`steps`: whether the server restarts before, what it counts, whether the daemon restarts after."""
    totals, server, run, expected, last = Totals(), Server(), 0, 0, 0.0
    for restarts, counted, daemon_restarts in steps:
        if restarts:
            server, run = Server(), run + 1
        server.requests.labels("phone").inc(counted)
        expected += counted
        totals.update(SOURCE, str(run), server.registry.collect())
        if daemon_restarts:
            totals = Totals.from_json(totals.as_json())
        now = value(totals, "whisper_requests_total", client="phone") or 0.0
        assert now >= last
        last = now
    assert last == expected


def test_labels_that_never_end_fill_no_disk(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "SERIES_LIMIT", 50)
    totals, server = Totals(), Server()
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            server.requests.labels(f'client "{number}"\n').inc()
            totals.update(SOURCE, "1", server.registry.collect())
    kept = json.loads(totals.as_json())[SOURCE]["counts"]
    assert len(kept) == 50
    assert caplog.text.count("more than 50 metrics") == 1
    assert value(totals, "whisper_requests_total", client='client "0"\n') == 1


def test_what_is_not_a_finite_number_is_left_out() -> None:
    totals, server = Totals(), Server()
    server.requests.labels("phone").inc(float("inf"))
    totals.update(SOURCE, "1", server.registry.collect())
    assert value(totals, "whisper_requests_total", client="phone") is None
    assert "Infinity" not in totals.as_json()


def test_services_that_left_the_configuration_are_forgotten() -> None:
    totals = Totals()
    for source in ("", SOURCE, "gone.example.com"):
        totals.update(source, "1", Server().registry.collect())
    totals.retain(("", SOURCE))
    assert set(json.loads(totals.as_json())) == {"", SOURCE}


def counted() -> Totals:
    totals, server = Totals(), Server()
    server.requests.labels('a "b"\n').inc(3)
    totals.update(SOURCE, "1", server.registry.collect())
    return totals


def test_a_file_survives(tmp_path: Path) -> None:
    file = TotalsFile(tmp_path / "counters.json")
    assert file.read().as_json() == "{}"
    asyncio.run(file.write(counted()))
    read = TotalsFile(tmp_path / "counters.json").read()
    assert value(read, "whisper_requests_total", client='a "b"\n') == 3
    assert [path.name for path in tmp_path.iterdir()] == ["counters.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{",
        '{"a": 5}',
        '{"a": {"run": "1", "families": {}, "counts": [["x", {}, "x", 1, 1]]}}',
        "[" * 99999,
    ],
    ids=["empty", "list", "number", "cut", "no source", "no family", "nested"],
)
def test_a_damaged_file_is_kept_aside_and_counting_starts_from_0(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "counters.json"
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert TotalsFile(path).read().as_json() == "{}"
    assert "all counters start from 0" in caplog.text
    assert (tmp_path / "counters.unreadable").read_text() == text
    assert not path.exists()


def test_a_full_disk_is_logged_once_and_written_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    file, totals = TotalsFile(folder / "counters.json"), counted()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            asyncio.run(file.write(totals))
    assert caplog.text.count("cannot be written") == 1
    folder.mkdir()
    asyncio.run(file.write(totals))
    assert (folder / "counters.json").exists()


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    file, totals = TotalsFile(path), counted()
    asyncio.run(file.write(totals))
    before = path.stat()
    asyncio.run(file.write(totals))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
