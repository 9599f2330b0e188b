"""The daemon process: start-up, signals, shutdown."""

import asyncio
import logging
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web

from docker_autostart import admin
from docker_autostart.compose import DockerCompose
from docker_autostart.configuration import Configuration, ServiceSettings, read_configuration
from docker_autostart.connections import ClientConnections
from docker_autostart.engine import ContainerEvent, DockerEngine
from docker_autostart.events import EventLog
from docker_autostart.fleet import Fleet
from docker_autostart.json_object import ConfigurationError, Problem
from docker_autostart.leases import DRAIN_TIMEOUT
from docker_autostart.memory import recall, remember
from docker_autostart.metering import Metering
from docker_autostart.metrics import Metrics
from docker_autostart.own_pages import with_own_pages
from docker_autostart.preflight import find_problems
from docker_autostart.proxy import Proxy
from docker_autostart.stack import ComposeStack
from docker_autostart.status_file import NAME, StatusFile
from docker_autostart.systemd import Notifier, inherited_sockets

END_TIMEOUT = DRAIN_TIMEOUT + 5.0
"""Seconds. Requests cut after `DRAIN_TIMEOUT` still get a response; TimeoutStopSec of the unit is longer."""
REMEMBER_EVERY = 5.0
STATUS_EVERY = 1.0
BACKLOG = 1024

log = logging.getLogger("docker_autostart")


def socket_path(run_directory: Path) -> Path:
    return run_directory / "admin.sock"


async def serve(configuration_file: Path, run_directory: Path, state_directory: Path) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigurationError`, and OSError if the port is in use."""
    configuration = read_configuration(configuration_file)
    notifier = Notifier()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listeners = inherited_sockets() or [socket.create_server(("127.0.0.1", configuration.port))]
    daemon = _Daemon(configuration_file, run_directory, state_directory, configuration)
    reloads = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reloads.set)
    runner = web.ServerRunner(daemon.connections, handle_signals=False, shutdown_timeout=0)
    await runner.setup()
    operators = None
    try:
        # If one of these tasks fails, the daemon exits and systemd restarts it, rather than running without the task.
        async with asyncio.TaskGroup() as group:
            chores = [
                group.create_task(daemon.watch_engine()),
                group.create_task(daemon.keep_memory()),
                group.create_task(daemon.publish_status()),
                group.create_task(daemon.metering.keep()),
                group.create_task(daemon.check_stacks()),
                group.create_task(daemon.reload_on(reloads, notifier)),
            ]
            for listener in listeners:
                await web.SockSite(runner, listener, backlog=BACKLOG).start()
            operators = await admin.listen(daemon.admin_application, socket_path(run_directory))
            notifier.tell("READY=1", f"STATUS=Serving {len(configuration.services)} services")
            log.info("listening on %s", ", ".join(str(listener.getsockname()[:2]) for listener in listeners))
            await ended.wait()
            notifier.tell("STOPPING=1", "STATUS=Waiting for requests to end")
            log.info("stopping: no new connections, %d requests to end", daemon.requests)
            for site in runner.sites:
                await site.stop()
            await daemon.drain()
            for chore in chores:
                chore.cancel()
    finally:
        await runner.cleanup()
        if operators is not None:
            await operators.cleanup()
        await daemon.close()
    log.info("stopped; containers stay as they are")


class _Daemon:
    """Creates the parts and connects them."""

    def __init__(
        self, configuration_file: Path, run_directory: Path, state_directory: Path, configuration: Configuration
    ) -> None:
        self._configuration_file = configuration_file
        self._memory_file = run_directory / "services.json"
        self._status_file = StatusFile(run_directory / NAME)
        self._engine = DockerEngine()
        self._compose = DockerCompose()
        self._probe = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        self._stacks: dict[str, ComposeStack] = {}
        self._events = EventLog()
        self._metrics = Metrics()
        self._events.subscribers.append(self._metrics.count_event)
        self._fleet = Fleet(configuration, self._make_stack, self._events.record, recall(self._memory_file))
        self._metrics.watch(self._fleet, self._engine)
        self.metering = Metering(self._metrics, self._fleet, self._engine, self._probe, state_directory)
        self._proxy = Proxy(self._fleet, self._metrics.count_request)
        exposition = self.metering.exposition
        self.connections = ClientConnections(with_own_pages(self._fleet, exposition, self._proxy.handle))
        self.admin_application = admin.admin_application(self._fleet, self._events, exposition)

    @property
    def requests(self) -> int:
        return sum(service.in_flight + service.waiting for service in self._fleet.services.values())

    async def drain(self) -> None:
        began = asyncio.get_running_loop().time()
        await self.connections.end(END_TIMEOUT, lambda: self._fleet.cut_late_leases(began))

    async def watch_engine(self) -> None:
        async for event in self._engine.events():
            for host, service in self._fleet.services.items():
                if event is None:
                    service.engine_returned()
                elif event.name in service.settings.containers:
                    self._container_changed(host, event)

    def _container_changed(self, host: str, event: ContainerEvent) -> None:
        if event.action == "oom":
            log.warning("%s: the kernel killed a process of container %s for lack of memory", host, event.name)
            self._metrics.count_oom_kill(host, event.name)
        self._stacks[host].stir()
        self._fleet.services[host].request_check()

    async def keep_memory(self) -> None:
        while True:
            self._remember()
            await asyncio.sleep(REMEMBER_EVERY)

    async def publish_status(self) -> None:
        while True:
            self._status_file.update(self._fleet)
            await asyncio.sleep(STATUS_EVERY)

    async def check_stacks(self) -> None:
        """Run at start-up. A problem with one service's folder is logged and does not affect the others."""
        problems, described = await find_problems(self._fleet.configuration, self._compose)
        self._note_whole_projects(described)
        for problem in problems:
            log.error("%s: %s", self._configuration_file, problem)

    async def reload_on(self, asked: asyncio.Event, notifier: Notifier) -> None:
        while True:
            await asked.wait()
            asked.clear()
            try:
                configuration, described = await self._checked_configuration()
            except ConfigurationError as error:
                for problem in error.problems:
                    log.error("%s: %s", self._configuration_file, problem)
                log.error("%s was not applied, the configuration stays as it was", self._configuration_file)
            else:
                await self._fleet.apply(configuration)
                self._note_whole_projects(described)
                log.info("%s was applied, %d services", self._configuration_file, len(configuration.services))
                notifier.tell(f"STATUS=Serving {len(configuration.services)} services")

    async def _checked_configuration(self) -> tuple[Configuration, dict[str, set[str]]]:
        """Read the file again, and the containers of each service's Compose file. Raises `ConfigurationError`."""
        configuration = read_configuration(self._configuration_file)
        if configuration.port != self._fleet.configuration.port:
            line = configuration.lines.get("/port", 1)
            raise ConfigurationError([Problem(line, "port", "changes with a restart only")])
        problems, described = await find_problems(configuration, self._compose)
        if problems:
            raise ConfigurationError(problems)
        return configuration, described

    async def close(self) -> None:
        self._remember()
        await self.metering.write()
        self._status_file.remove()
        await self._fleet.close()
        await self._proxy.close()
        await self._probe.close()
        await self._engine.close()

    def _make_stack(self, settings: ServiceSettings) -> ComposeStack:
        stack = ComposeStack(settings, self._engine, self._compose, self._probe, self._read_last_metrics)
        self._stacks[settings.host] = stack
        return stack

    async def _read_last_metrics(self, settings: ServiceSettings) -> None:
        await self.metering.read_last(settings)

    def _remember(self) -> None:
        remember(self._memory_file, self._fleet, asyncio.get_running_loop().time())

    def _note_whole_projects(self, described: Mapping[str, set[str]]) -> None:
        for host, names in described.items():
            stack, service = self._stacks.get(host), self._fleet.services.get(host)
            if stack is not None and service is not None:
                stack.is_whole_project = names == set(service.settings.containers)
