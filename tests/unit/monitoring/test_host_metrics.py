"""Metrics of certificates, backups and nginx' statuses, from real files and certificates."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

SCRIPT = Path(__file__).parents[3] / "roles/monitoring/files/host_metrics.py"
SITE = "whisper.example.com"


class Host:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "whisper-services.log"
        self.backup = folder / "backup"
        self.certificates: list[Path] = []

    def write(self, *statuses: int, host: str = SITE) -> None:
        with self.log.open("a") as file:
            file.writelines(json.dumps({"host": host, "status": status}) + "\n" for status in statuses)

    def rotate(self) -> None:
        self.log.rename(self.log.with_name(self.log.name + ".1"))

    def run(self) -> dict[tuple[str, ...], float]:
        """Samples by name and the values of their labels."""
        files = [self.folder / "host.prom", self.folder / "state.json", self.log, self.backup, *self.certificates]
        subprocess.run([sys.executable, SCRIPT, *files], check=True)
        families = text_string_to_metric_families((self.folder / "host.prom").read_text())
        return {
            (sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples
        }

    def count(self, status: int, site: str = SITE) -> float | None:
        return self.run().get(("whisper_nginx_responses_total", site, str(status)))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_statuses_are_counted_once_and_over_rotations(host: Host) -> None:
    assert host.run() == {}
    host.write(200, 401, 401)
    assert host.count(401) == 2
    assert host.count(401) == 2
    assert host.count(429) == 0, "from the start, so that the first one is an increase"
    host.write(401)
    host.rotate()
    host.write(401, 429)
    assert host.count(401) == 4
    assert host.count(429) == 1


def test_a_line_that_is_being_written_is_counted_when_it_is_complete(host: Host) -> None:
    line = json.dumps({"host": SITE, "status": 413})
    host.log.write_text(line[:20])
    assert host.count(413) is None
    host.log.write_text(line + "\n")
    assert host.count(413) == 1


def test_a_log_that_was_emptied_is_read_from_its_start(host: Host) -> None:
    host.write(200, 200, 200)
    assert host.count(200) == 3
    os.truncate(host.log, 0)
    host.write(200)
    assert host.count(200) == 4


@pytest.mark.parametrize("state", ["", "[]", '{"statuses": 1, "position": [0, 0]}', "\x00"])
def test_a_damaged_state_starts_from_0(host: Host, state: str) -> None:
    host.write(429)
    (host.folder / "state.json").write_text(state)
    assert host.count(429) == 1


def test_any_line_is_survived_and_names_are_bounded(host: Host) -> None:
    lines: Iterable[str] = (
        "",
        "{",
        "[]",
        '{"host": 1}',
        '{"host": "a", "status": "x"}',
        '{"host": "a", "status": 9999}',
    )
    host.log.write_text("\n".join(lines) + "\n" + "x" * 200_000 + "\n")
    host.write(200, host='a "b"\\\n')
    for number in range(100):
        host.write(200, host=f"{number}.example.com")
    found = host.run()
    assert found["whisper_nginx_responses_total", 'a "b"\\\n', "200"] == 1
    assert len({key[1] for key in found}) == 50


def test_the_time_of_the_last_backup(host: Host) -> None:
    host.backup.touch()
    os.utime(host.backup, (1000, 1000))
    assert host.run() == {("whisper_backup_timestamp_seconds",): 1000}


def test_when_a_certificate_expires(host: Host) -> None:
    folder = host.folder / "whisper.example.com"
    folder.mkdir()
    path = folder / "fullchain.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=test", "-days", "30", "-keyout", str(folder / "key.pem"), "-out", str(path)]
    subprocess.run([*request, *names], check=True, capture_output=True)
    missing = host.folder / "portal.example.com" / "fullchain.pem"
    host.certificates = [path, missing]
    found = host.run()
    assert list(found) == [("whisper_certificate_expiry_timestamp_seconds", "whisper.example.com")]
    (expiry,) = found.values()
    assert expiry == pytest.approx(time.time() + 30 * 86400, abs=300)
