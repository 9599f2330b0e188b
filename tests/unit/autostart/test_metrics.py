"""The daemon's /metrics, of the whole daemon as a process: what a Prometheus on the machine gets, and when."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docker_autostart.metrics import DESCRIPTIONS
from docker_autostart.service_metrics import merged, parse_metrics
from tests.unit.autostart.daemon_process import HOST, World, running


class CountingServer:
    """What the container of `World` counts of itself, anew with each start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.audio = Counter("whisper_audio_seconds", "Seconds of audio.", ["model"], registry=self.registry)
        self.queue = Gauge("whisper_queue", "Requests that wait.", registry=self.registry)
        Gauge("python_info", "Not taken over.", registry=self.registry).set(1)
        self.queue.set(4)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


class Metered(World):
    """The container also has /metrics, which the daemon reads at its start and then each `seconds`."""

    def __init__(self, folder: Path, seconds: float = 0.2) -> None:
        super().__init__(folder)
        # The interval is not an operator's to set.
        code = "import sys; from docker_autostart import cli, metering; metering.READ_EVERY = {}; sys.exit(cli.main())"
        self.program = ("-c", code.format(seconds))
        self.server = CountingServer()
        self.exposed: Callable[[], str] = lambda: self.server.text()
        self.metrics_asked = 0

    async def _container(self) -> None:
        self.server = CountingServer()
        await super()._container()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        if request.raw_path == "/metrics":
            self.metrics_asked += 1
            return web.Response(text=self.exposed())
        if request.raw_path != "/health":
            self.server.audio.labels("small").inc(10)
        return await super()._serve(request)

    async def scrape(self) -> dict[str, float]:
        """Samples by name and labels."""
        assert self.client is not None
        async with self.client.get(f"http://127.0.0.1:{self.port}/metrics") as response:
            assert response.status == 200
            assert response.content_type == "text/plain"
            text = await response.text()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found = {_written(sample.name, sample.labels): sample.value for sample in samples}
        assert len(found) == len(samples), "a sample stands there twice"
        types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        assert len(types) == len(set(types)), "a family stands there twice"
        return found

    async def until(self, name: str, value: float | None) -> dict[str, float]:
        """Scrape until a sample has this value, None for a sample that is not there."""
        async with asyncio.timeout(20):
            while (found := await self.scrape()).get(name) != value:
                await asyncio.sleep(0.1)
        return found


def _written(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ",".join(f'{key}="{labels[key]}"' for key in sorted(labels)) + "}"


def of(name: str, **labels: str) -> str:
    return _written(name, {"service": HOST, **labels})


AUDIO = of("whisper_audio_seconds_total", model="small")


async def test_counters_of_a_service_survive_its_sleep_and_its_present_values_do_not(tmp_path: Path) -> None:
    async with running(Metered(tmp_path, 3600)) as machine:
        machine.configure(metricsPath="/metrics")
        await machine.serve()
        found = await machine.scrape()
        assert found[of("autostart_state", state="stopped")] == 1
        assert AUDIO not in found
        found = await machine.scrape()
        for name in (
            of("autostart_oom_kills_total", container="faster-whisper"),
            of("autostart_requests_total", start="warm", status="502"),
            of("autostart_start_seconds_count"),
        ):
            assert found[name] == 0, "from the start, so that the first one is an increase"
        for expected in (10, 20):
            assert (await machine.get())[0] == 200
            await machine.command("stop", HOST)
            found = await machine.scrape()
            assert found[AUDIO] == expected, "read once more before the stop"
            assert of("whisper_queue") not in found
            assert not any(name.startswith("python_") for name in found)
        assert found[of("autostart_start_seconds_count")] == 2
        assert found[of("autostart_requests_total", start="cold", status="200")] == 2


async def test_a_service_that_runs_shows_its_present_values_and_memory(tmp_path: Path) -> None:
    async with running(Metered(tmp_path)) as machine:
        machine.configure(metricsPath="/metrics")
        await machine.engine.run("faster-whisper")
        await machine.serve()
        found = await machine.until(of("whisper_queue"), 4)
        container = {"container": "faster-whisper"}
        assert found[of("autostart_container_memory_bytes", **container)] == 500_000_000
        assert found[of("autostart_container_memory_limit_bytes", **container)] == 2 * 2**30
        assert found[of("autostart_start_timeout_seconds")] == 30
        assert abs(found[of("autostart_last_used_timestamp_seconds")] - time.time()) < 60


async def test_counters_survive_a_restart_of_the_daemon_and_of_both(tmp_path: Path) -> None:
    async with running(Metered(tmp_path)) as machine:
        machine.configure(metricsPath="/metrics")
        await machine.serve()
        assert (await machine.get())[0] == 200
        await machine.until(AUDIO, 10)
        await machine.end()
        await machine.serve()  # the container ran on
        found = await machine.until(AUDIO, 10)
        assert found[of("autostart_requests_total", start="cold", status="200")] == 1
        await machine.end()
        await machine.engine.kill_all()  # a reboot
        await machine.serve()
        assert (await machine.scrape())[AUDIO] == 10
        assert (await machine.get())[0] == 200
        found = await machine.until(AUDIO, 20)
        assert found[of("autostart_requests_total", start="cold", status="200")] == 2


async def test_scrapes_wake_nothing_and_keep_nothing_awake(tmp_path: Path) -> None:
    async with running(Metered(tmp_path)) as machine:
        machine.configure(metricsPath="/metrics", idleTimeout=2, noWakePaths=["/health"])
        await machine.serve()
        assert (await machine.get())[0] == 200
        await machine.until(of("autostart_state", state="stopped"), 1)
        for _ in range(20):
            await machine.scrape()
        assert machine.engine.starts == []
        assert [command[0] for command in machine.engine.commands].count("up") == 1
        assert (await machine.get("/health"))[0] == 503
        found = await machine.scrape()
        requests = [name for name, value in found.items() if name.startswith("autostart_requests_total") and value]
        assert requests == [
            of("autostart_requests_total", start="cold", status="200"),
            of("autostart_requests_total", start="asleep", status="503"),
        ]


async def test_a_scrape_waits_for_nobody(tmp_path: Path) -> None:
    """Neither for a start, nor for a container, nor for the engine."""
    async with running(Metered(tmp_path, 3600)) as machine:
        machine.configure(metricsPath="/metrics")
        await machine.serve()
        machine.listens_after = 3
        waiting = asyncio.create_task(machine.get())
        found = await machine.until(of("autostart_requests_waiting"), 1)
        assert found[of("autostart_state", state="starting")] == 1
        assert not waiting.done()
        assert (await waiting)[0] == 200
        for _ in range(20):
            await machine.scrape()
        assert (machine.metrics_asked, machine.engine.stats_asked) == (0, 0)
        await machine.engine.end()
        await machine.until("autostart_engine_up{}", 0)
        assert (await machine.scrape())[of("autostart_state", state="ready")] == 1
        await machine.engine.begin()
        await machine.until("autostart_engine_up{}", 1)


@pytest.mark.parametrize(
    "exposed", ["", "no metrics", "whisper_a{", "x" * 2_000_000, "whisper_a 1\nwhisper_a 2\n# TYPE whisper_a counter\n"]
)
async def test_a_service_that_answers_nonsense_harms_nobody(tmp_path: Path, exposed: str) -> None:
    async with running(Metered(tmp_path)) as machine:
        machine.exposed = lambda: exposed
        machine.configure(metricsPath="/metrics")
        await machine.engine.run("faster-whisper")
        await machine.serve()
        await machine.until(of("autostart_container_memory_bytes", container="faster-whisper"), 500_000_000)
        assert (await machine.get())[0] == 200


async def test_kills_for_lack_of_memory_are_counted(tmp_path: Path) -> None:
    async with running(Metered(tmp_path)) as machine:
        await machine.serve()
        assert (await machine.get())[0] == 200
        machine.engine.run_out_of_memory("faster-whisper")
        await machine.log_says("for lack of memory")
        await machine.until(of("autostart_oom_kills_total", container="faster-whisper"), 1)


async def test_files_of_other_programs_are_served(tmp_path: Path) -> None:
    async with running(Metered(tmp_path)) as machine:
        folder = tmp_path / "state" / "textfiles"
        folder.mkdir()
        (folder / "a.prom").write_text('# TYPE whisper_host_x gauge\nwhisper_host_x{name="a \\"b\\""} 5\n')
        (folder / "b.prom").write_text("nonsense {")
        (folder / "c.prom").write_bytes(b"\xff")
        (folder / "d.txt").write_text("whisper_host_y 1\n")
        await machine.serve()
        found = await machine.until('whisper_host_x{name="a "b""}', 5)
        assert not any("whisper_host_y" in name for name in found)


async def test_all_own_metrics_are_described(tmp_path: Path) -> None:
    async with running(Metered(tmp_path)) as machine:
        await machine.serve()
        assert (await machine.get())[0] == 200
        machine.engine.run_out_of_memory("faster-whisper")
        await machine.until(of("autostart_container_memory_bytes", container="faster-whisper"), 500_000_000)
        found = await machine.until(of("autostart_oom_kills_total", container="faster-whisper"), 1)
    names = {name.partition("{")[0] for name in found}
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    assert names == {each.name + suffix for each in DESCRIPTIONS for suffix in suffixes[each.kind]}


def test_families_of_one_name_are_one() -> None:
    first, second, other = Metric("a", "A", "gauge"), Metric("a", "B", "gauge"), Metric("a", "C", "counter")
    for number, family in enumerate((first, second, other)):
        family.add_sample("a", {"number": str(number)}, number)
    (only,) = merged((first, second, other))
    assert [sample.value for sample in only.samples] == [0, 1]


@given(st.text(alphabet='aw_{}"=\\,# \n1.TYPEcounter', max_size=80))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    try:
        parse_metrics(text)
    except ValueError:
        return
