"""The admin API on a Unix socket that only root can open; it is not reachable over TCP."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from docker_autostart.error_responses import error_response
from docker_autostart.errors import Conflict, RequestError, UnknownHost
from docker_autostart.events import EventLog
from docker_autostart.exposition import Exposition
from docker_autostart.fleet import Fleet
from docker_autostart.service import Service, State
from docker_autostart.stopping import StopFailed


def describe(service: Service, now: float) -> dict[str, Any]:
    """A service as `docker-autostart status` shows it; times are in seconds from now, None if they do not apply."""
    deadline = service.idle_deadline()
    asleep = service.state in {State.STOPPED, State.STOPPING, State.FAILED} and not service.running_containers
    return {
        "host": service.settings.host,
        "name": service.settings.name,
        "state": str(service.state),
        "containers": f"{service.running_containers}/{len(service.settings.containers)}",
        "in_flight": service.in_flight,
        "held": service.waiting,
        "held_awake": service.clock.pinned,
        "last_used_seconds_ago": None if service.clock.last_used is None else round(now - service.clock.last_used, 1),
        "stops_in_seconds": None if asleep or deadline is None else round(max(0.0, deadline - now), 1),
        "failure": None if service.failing is None else service.failing.message,
    }


def admin_application(fleet: Fleet, events: EventLog, exposition: Exposition) -> web.Application:
    async def status(_: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        services = [describe(service, now) for service in fleet.services.values()]
        return web.json_response({"time": time.time(), "services": services})

    async def log(_: web.Request) -> web.Response:
        return web.json_response({"events": events.as_list()})

    async def metrics(_: web.Request) -> web.Response:
        return exposition.response()

    async def start(service: Service) -> None:
        lease = await service.start_and_acquire()
        service.release(lease)

    async def stop(service: Service) -> None:
        try:
            await service.stop("operator", by_operator=True)
        except StopFailed as error:
            raise Conflict(str(error)) from error

    async def hold(service: Service) -> None:
        service.pin(True)

    async def release(service: Service) -> None:
        service.pin(False)

    def action(do: Callable[[Service], Awaitable[None]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            service = _find(fleet, request.match_info["service"])
            await do(service)
            return web.json_response(describe(service, asyncio.get_running_loop().time()))

        return handle

    application = web.Application(middlewares=[_errors])
    application.router.add_get("/status", status)
    application.router.add_get("/events", log)
    application.router.add_get("/metrics", metrics)
    for name, do in (("start", start), ("stop", stop), ("hold", hold), ("release", release)):
        application.router.add_post(f"/services/{{service}}/{name}", action(do))
    return application


async def listen(application: web.Application, path: Path) -> web.AppRunner:
    """Serve on the Unix socket `path`, mode 0600. The caller must clean up the runner."""
    path.unlink(missing_ok=True)
    runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=1)
    await runner.setup()
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, path).start()
    finally:
        os.umask(before)
    return runner


def _find(fleet: Fleet, name: str) -> Service:
    """Find a service by host or container name. Raises `UnknownHost`."""
    for host, service in fleet.services.items():
        if name == host or name in service.settings.containers:
            return service
    raise UnknownHost(f"No service is called {name}; known are {', '.join(fleet.services)}.")


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return error_response(error)
