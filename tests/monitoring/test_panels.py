"""Prometheus scrapes the daemon through sleep, start, errors, a job and an OOM kill; every panel then has data.

Only the container is not real: a server that exposes the metrics of the services' own code.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from prometheus_client import generate_latest

from docker_autostart.proxy import CLIENT
from tests.monitoring.conftest import command_of, free_port, process
from tests.templates.conftest import Render
from tests.unit.autostart.daemon_process import HOST, running
from tests.unit.autostart.test_metrics import Metered
from tools.monitoring.__main__ import RULES
from tools.monitoring.catalog import HOST_METRICS
from tools.monitoring.dashboard import PANELS
from whisper_server.process.metrics import Metrics


class Server(Metered):
    """Its container counts as the services do."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.failing = False
        self.metrics = Metrics()
        self.exposed = lambda: generate_latest(self.metrics.registry).decode()

    async def _container(self) -> None:
        self.metrics = Metrics()
        self.metrics.text(0, 1, {"queued": 1, "failed": 0}, ["small"], 60)
        await super()._container()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        if request.raw_path == "/v1/audio/transcriptions":
            if self.failing:
                return web.Response(status=500)
            self.metrics.count_work("small", request.headers.get(CLIENT), 60, 6)
            self.metrics.count_job("completed", 5, 6)
        return await super()._serve(request)

    async def transcribe(self, client: str) -> int:
        assert self.client is not None
        headers = {"Host": HOST, CLIENT: client}
        url = f"http://127.0.0.1:{self.port}/v1/audio/transcriptions"
        async with self.client.post(url, headers=headers) as response:
            return response.status


class Prometheus:
    def __init__(self, port: int, client: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._client = client

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._client.get(f"{self._url}/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def values(self, query: str) -> list[float]:
        """Those of an instant query."""
        data = await self.ask("query", query=query)
        return [float(each["value"][1]) for each in data["result"]]

    async def until(self, query: str) -> None:
        """Return when the query has a result."""
        async with asyncio.timeout(60):
            while True:
                try:
                    if await self.values(query):
                        return
                except aiohttp.ClientError:  # it has not started yet
                    pass
                await asyncio.sleep(0.5)


@asynccontextmanager
async def prometheus(render: Render, folder: Path, daemon_port: int) -> AsyncIterator[Prometheus]:
    """Prometheus and node exporter with the role's command lines, and its configuration with shorter intervals."""
    port, node_port = free_port(), free_port()
    variables = {"inventory_hostname": "h", "monitoring_state": "present", "monitoring_daemon_port": daemon_port}
    file = folder / "prometheus.yml"
    configuration = yaml.safe_load(render("monitoring", "prometheus.yml.j2", **variables))
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    del configuration["alerting"]
    configuration["rule_files"] = [str(RULES)]
    services, node = configuration["scrape_configs"]
    del services["scrape_timeout"]
    node["static_configs"][0]["targets"] = [f"127.0.0.1:{node_port}"]
    file.write_text(yaml.safe_dump(configuration))
    paths = {
        "/etc/whisper-services-monitoring/prometheus.yml": str(file),
        "/var/lib/prometheus/whisper-services": str(folder / "tsdb"),
        "127.0.0.1:9090": f"127.0.0.1:{port}",
    }
    server = command_of(render("monitoring", "prometheus.conf.j2"), paths)
    exporter = command_of(
        render("monitoring", "prometheus-node-exporter.conf.j2"), {"127.0.0.1:9100": f"127.0.0.1:{node_port}"}
    )
    with process(*server), process(*exporter):
        async with aiohttp.ClientSession() as client:
            yield Prometheus(port, client)


def write_host_metrics(machine: Server) -> None:
    """As the role's timer does each minute."""
    log, folder = machine.folder / "nginx.log", machine.folder / HOST
    with log.open("a") as file:
        file.writelines(json.dumps({"host": HOST, "status": status}) + "\n" for status in (200, 401, 429))
    folder.mkdir(exist_ok=True)
    if not (folder / "fullchain.pem").exists():
        request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        names = ["-subj", "/CN=test", "-keyout", str(folder / "key.pem"), "-out", str(folder / "fullchain.pem")]
        subprocess.run([*request, *names], check=True, capture_output=True)
    textfiles = machine.folder / "state" / "textfiles"
    textfiles.mkdir(exist_ok=True)
    files = [textfiles / "host.prom", machine.folder / "host.json", log, log, folder / "fullchain.pem"]
    subprocess.run([sys.executable, HOST_METRICS, *files], check=True)


async def use(machine: Server) -> None:
    """Starts, transcriptions of two clients, an error, an OOM kill, and sleep: twice, so that all counters rise."""
    for _ in range(2):
        assert [await machine.transcribe(client) for client in ("phone", "desk")] == [200, 200]
        machine.failing = True
        assert await machine.transcribe("desk") == 500
        machine.failing = False
        machine.engine.run_out_of_memory("faster-whisper")
        write_host_metrics(machine)
        await asyncio.sleep(3)
        assert (await machine.command("stop", HOST))[0] == 0
        await asyncio.sleep(2)


async def test_every_panel_has_data_and_every_rule_is_evaluated(render: Render, tmp_path: Path) -> None:
    async with running(Server(tmp_path)) as machine, prometheus(render, tmp_path, machine.port) as server:
        machine.configure(metricsPath="/metrics")
        await machine.serve()
        await server.until('up{job="whisper-services"} == 1')
        await server.until('up{job="node"} == 1')
        await use(machine)
        empty = [
            panel.title for panel in PANELS for query in panel.queries.values() if not await data_of(server, query)
        ]
        assert empty == []
        rules = [rule for group in (await server.ask("rules"))["groups"] for rule in group["rules"]]
        assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
        assert await server.values("min_over_time(up[10m])") == [1, 1]
        assert min(await server.values("resets(whisper_audio_seconds_total[10m])")) == 0
        assert await server.values("sum(whisper_audio_seconds_total)") == [240]


async def data_of(server: Prometheus, query: str) -> list[float]:
    """At any moment of the last minutes: values of the moment are absent while a service sleeps."""
    for variable, value in {"$instance": ".*", "$service": ".*", "$__rate_interval": "1m"}.items():
        query = query.replace(variable, value)
    return await server.values(f"last_over_time(({query})[5m:1s])")
