"""A Docker Engine without Docker: the calls of its API that the daemon uses, on a unix socket, and a `docker` command.

The command's `compose up` and `compose stop` reach this server, which runs what it is given as the containers:
coroutines that serve until cancelled. So a test sees the daemon's real client, its real subprocess and real sockets,
but no container.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

COMMAND = """#!{python} -IS
import http.client, os, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect({socket!r})
connection.request("POST", "/fake/compose", body="\\0".join([os.getcwd(), *sys.argv[1:]]))
answer = connection.getresponse()
print(answer.read().decode(), end="", file=sys.stdout if answer.status == 200 else sys.stderr)
sys.exit(0 if answer.status == 200 else 1)
"""


class FakeEngine:
    """`commands` are the compose commands that came, without options before the command's name."""

    def __init__(self, folder: Path, containers: dict[str, Callable[[], Awaitable[None]]]) -> None:
        """`containers`: what each container does while it runs, by name, all of one compose project."""
        self.socket = folder / "docker.sock"
        self.path = folder / "bin"
        self.commands: list[list[str]] = []
        self.starts: list[str] = []
        self.up_takes = 0.0
        self.up_failure: str | None = None
        self.health: dict[str, str] = {}
        self.created = datetime(2020, 1, 1, tzinfo=UTC)
        self.memory_bytes = 500_000_000
        self.stats_asked = 0
        self._started: dict[str, str] = {}
        self._work = containers
        self._running: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[asyncio.Queue[dict[str, object] | None]] = []
        self._runner: web.AppRunner | None = None

    async def begin(self) -> None:
        self.path.mkdir(exist_ok=True)
        command = self.path / "docker"
        command.write_text(COMMAND.format(python=sys.executable, socket=str(self.socket)))
        command.chmod(0o755)
        application = web.Application()
        application.router.add_get("/version", self._version)
        application.router.add_get("/{version}/version", self._version)
        application.router.add_get("/{version}/events", self._events)
        application.router.add_get("/{version}/containers/{name}/json", self._inspect)
        application.router.add_get("/{version}/containers/{name}/stats", self._stats)
        application.router.add_post("/{version}/containers/{name}/start", self._start)
        application.router.add_post("/fake/compose", self._compose)
        self._runner = web.AppRunner(application, shutdown_timeout=0)
        await self._runner.setup()
        await web.UnixSite(self._runner, self.socket).start()

    async def end(self) -> None:
        """The containers go on, as with live-restore."""
        for listener in self._listeners:
            listener.put_nowait(None)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket.unlink(missing_ok=True)

    async def kill_all(self) -> None:
        for name in list(self._running):
            await self.kill(name)

    async def run(self, name: str) -> None:
        if name not in self._running:
            self._running[name] = asyncio.create_task(self._work_of(name))
            self._started[name] = datetime.now(UTC).isoformat()
            self._tell(name, "start")

    async def until_running(self, name: str) -> None:
        """Return when the container runs."""
        while name not in self._running:
            await asyncio.sleep(0.01)

    async def kill(self, name: str) -> None:
        task = self._running.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            self._tell(name, "die")

    def run_out_of_memory(self, name: str) -> None:
        """The kernel killed one of its processes, not its first one."""
        self._tell(name, "oom")

    def become(self, name: str, health: str) -> None:
        self.health[name] = health
        self._tell(name, f"health_status: {health}")

    async def _work_of(self, name: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._work[name]()
        if self._running.pop(name, None) is not None:
            self._tell(name, "die")

    def _tell(self, name: str, action: str) -> None:
        event: dict[str, object] = {"Type": "container", "Action": action, "Actor": {"Attributes": {"name": name}}}
        for listener in self._listeners:
            listener.put_nowait(event)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41", "Version": "fake"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        listener: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()
        self._listeners.append(listener)
        try:
            await response.prepare(request)
            while (event := await listener.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self._listeners.remove(listener)
        return response

    async def _inspect(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._work:
            return web.json_response({"message": f"No such container: {name}"}, status=404)
        state: dict[str, object] = {
            "Status": "running" if name in self._running else "exited",
            "ExitCode": 0,
            "StartedAt": self._started.get(name, "0001-01-01T00:00:00Z"),
        }
        if name in self.health:
            state["Health"] = {"Status": self.health[name]}
        return web.json_response(
            {
                "State": state,
                "Created": self.created.isoformat(),
                "Config": {"Labels": {"com.docker.compose.depends_on": ""}},
            }
        )

    async def _stats(self, request: web.Request) -> web.Response:
        self.stats_asked += 1
        if request.match_info["name"] not in self._running:
            return web.json_response({"memory_stats": {}})
        cache = 100_000_000
        memory = {"usage": self.memory_bytes + cache, "limit": 2 * 2**30, "stats": {"inactive_file": cache}}
        return web.json_response({"memory_stats": memory})

    async def _start(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.starts.append(name)
        await self.run(name)
        return web.Response(status=204)

    async def _compose(self, request: web.Request) -> web.Response:
        _, *arguments = (await request.text()).split("\0")
        command = next(word for word in ("config", "up", "stop") if word in arguments)
        self.commands.append(arguments[arguments.index(command) :])
        if command == "config":
            services = {name: {"container_name": name} for name in self._work}
            return web.json_response({"name": "whisper-faster", "services": services})
        if command == "up":
            await asyncio.sleep(self.up_takes)
            if self.up_failure is not None:
                return web.Response(status=500, text=self.up_failure)
            for name in self._work:
                await self.run(name)
        else:
            await self.kill_all()
        return web.Response(text=f"compose {command}: done\n")
