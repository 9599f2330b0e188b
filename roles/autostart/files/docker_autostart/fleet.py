"""All services: lookup by host, the limit of waiting requests, the memory budget, and reloads."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from docker_autostart.configuration import Configuration, ServiceSettings
from docker_autostart.containers import Stack
from docker_autostart.errors import TooManyWaiting, UnknownHost
from docker_autostart.events import Recorder
from docker_autostart.leases import Lease
from docker_autostart.refusals import RETRY_LATER
from docker_autostart.service import Service, State
from docker_autostart.starting import StartAbandoned
from docker_autostart.stopping import StopFailed

WAITING_PER_SERVICE = 200
WAITING_IN_ALL = 256
ROOM_RECHECK = 0.25
"""Seconds between checks for memory while no other service is idle."""

log = logging.getLogger("docker_autostart")


@dataclass(frozen=True)
class Remembered:
    """State of a service from the previous process. `last_used` is loop time: on Linux seconds since boot."""

    last_used: float | None = None
    pinned: bool = False


class Fleet:
    def __init__(
        self,
        configuration: Configuration,
        make_stack: Callable[[ServiceSettings], Stack],
        record: Recorder,
        remembered: Mapping[str, Remembered] | None = None,
    ) -> None:
        self.configuration = configuration
        self.services: dict[str, Service] = {}
        self._make_stack = make_stack
        self._record = record
        self._owners: dict[Service, asyncio.Task[None]] = {}
        self._granted: set[Service] = set()
        self._room = asyncio.Lock()
        for host, settings in configuration.services.items():
            self._add(settings, (remembered or {}).get(host, Remembered()))

    def find(self, host: str) -> Service:
        """`host` normalized. Raises `UnknownHost`."""
        try:
            return self.services[host]
        except KeyError:
            raise UnknownHost("No service has this host name.") from None

    @property
    def waiting(self) -> int:
        return sum(service.waiting for service in self.services.values())

    async def wait_for_start(self, service: Service) -> Lease:
        """`Service.wait_for_start`, within the limits of waiting requests. Raises `TooManyWaiting` too."""
        if service.waiting >= WAITING_PER_SERVICE or self.waiting >= WAITING_IN_ALL:
            raise TooManyWaiting("Too many requests wait for services to start.", retry_after=RETRY_LATER)
        return await service.wait_for_start()

    def cut_late_leases(self, drain_since: float) -> None:
        for service in self.services.values():
            service.cut_late_leases(drain_since)

    async def apply(self, configuration: Configuration) -> None:
        """Apply a checked configuration. Containers of removed services are left as they are."""
        self.configuration = configuration
        for host, service in list(self.services.items()):
            settings = configuration.services.get(host)
            if settings is not None and settings.same_stack(service.settings):
                self._reconfigure(service, settings)
            else:
                del self.services[host]
                service.remove()
                self._granted.discard(service)
                await _end(self._owners.pop(service))
        for host, settings in configuration.services.items():
            if host not in self.services:
                self._add(settings, Remembered())

    async def close(self) -> None:
        """Stop the services' tasks; containers are left as they are."""
        for owner in self._owners.values():
            await _end(owner)

    def _add(self, settings: ServiceSettings, remembered: Remembered) -> None:
        service = Service(
            settings,
            self._make_stack(settings),
            self._record,
            make_room=self._make_room,
            last_used=remembered.last_used,
            pinned=remembered.pinned,
        )
        self.services[settings.host] = service
        self._owners[service] = asyncio.create_task(_own(service), name=f"owner of {settings.host}")

    def _reconfigure(self, service: Service, settings: ServiceSettings) -> None:
        if settings != service.settings:
            service.stack = self._make_stack(settings)
            service.reconfigure(settings)

    async def _make_room(self, service: Service) -> None:
        """Return when `service` fits into the memory budget, having stopped idle ones, the least recently used first.

        Waits while the others are in use. Raises `StartAbandoned` when nobody waits for `service` in the meantime.
        """
        self._granted.discard(service)
        give_up_at = asyncio.get_running_loop().time() + service.settings.start_timeout
        async with self._room:
            while not self._fits(service):
                if not service.waiting and asyncio.get_running_loop().time() > give_up_at:
                    raise StartAbandoned
                await self._evict_one_for(service)
            self._granted.add(service)

    def _fits(self, service: Service) -> bool:
        budget = self.configuration.memory_budget_mb
        others = sum(
            other.settings.memory_mb
            for other in self.services.values()
            if other is not service and self._takes_memory(other)
        )
        return budget is None or service.running_containers > 0 or others + service.settings.memory_mb <= budget

    def _takes_memory(self, service: Service) -> bool:
        starting = service.state is State.STARTING and service in self._granted
        return starting or service.running_containers > 0

    async def _evict_one_for(self, service: Service) -> None:
        idle = [other for other in self.services.values() if other is not service and other.idle]
        for other in sorted(idle, key=lambda candidate: candidate.clock.last_used or 0.0):
            if other.settings.memory_mb:
                try:
                    if await other.stop(f"its memory is for {service.settings.host}", by_operator=False):
                        return
                except StopFailed:
                    log.warning("%s: still takes memory", other.settings.host)
        await asyncio.sleep(ROOM_RECHECK)


async def _own(service: Service) -> None:
    while True:
        try:
            await service.run()
        except Exception:
            # After a bug the task is restarted: without it the service would never be started or stopped again.
            log.exception("%s: owner failed in state %s", service.settings.host, service.state)
            await asyncio.sleep(1)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
