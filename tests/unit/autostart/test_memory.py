"""What one process of the daemon leaves for the next."""

import asyncio
import logging
from pathlib import Path

import pytest

from docker_autostart.fleet import Remembered
from docker_autostart.memory import recall, remember
from tests.unit.autostart.test_fleet import Yard, configuration, run


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    async def scenario() -> None:
        yard = Yard(configuration("a", "b"))
        await yard.use("a")
        yard.fleet.find("a").pin(True)
        using = asyncio.create_task(yard.use("b", 10))
        await asyncio.sleep(5)
        now = asyncio.get_running_loop().time()
        remember(tmp_path / "services.json", yard.fleet, now)
        recalled = recall(tmp_path / "services.json")
        assert recalled == {"a": Remembered(yard.fleet.find("a").clock.last_used, True), "b": Remembered(now, False)}
        await using

    run(scenario)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 5}', '{"a": {"last_used": "x", "pinned": true}}', '{"a": {}}'])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "services.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert recall(tmp_path / "services.json") == {}
    assert "services.json is not used" in caplog.text


def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        remember(tmp_path / "missing" / "services.json", Yard(configuration("a")).fleet, 0)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert "cannot be written" in caplog.text
