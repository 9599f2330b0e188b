"""The whole daemon as a process: its command line, signals, admin socket, systemd protocols, and its real clients.

What it talks to is not Docker but `testbed.fake_docker_engine`, an Engine API on a unix socket and a `docker` command;
the container is a real HTTP server on a real port.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import web

import docker_autostart
from testbed.fake_docker_engine import FakeEngine
from tests.unit.autostart.site import free_port

HOST = "whisper.example.com"
PACKAGE = Path(docker_autostart.__file__).parent.parent


AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "docker_autostart", *sys.argv[2:]])
"""


class World:
    """A machine with one stack, its engine, and the daemon."""

    program = ("-m", "docker_autostart")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.container_port = free_port()
        self.engine = FakeEngine(folder, {"faster-whisper": self._container})
        self.answer_takes = 0.0
        self.listens_after = 0.0
        self.jobs = 0
        self.answered = 0
        self.process: asyncio.subprocess.Process | None = None
        self.client: aiohttp.ClientSession | None = None
        (folder / "stack").mkdir()
        (folder / "stack" / "compose.yaml").write_text("services: {}\n")
        (folder / "run").mkdir()
        (folder / "state").mkdir()
        self.configure()

    def configure(self, text: str | None = None, **service: object) -> None:
        document = {
            "port": self.port,
            "services": {
                HOST: {
                    "name": "Whisper",
                    "composeDir": str(self.folder / "stack"),
                    "proxyPort": self.container_port,
                    "containers": ["faster-whisper"],
                    **service,
                }
            },
        }
        (self.folder / "config.json").write_text(text or json.dumps(document, indent=1))

    async def _container(self) -> None:
        await asyncio.sleep(self.listens_after)
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.container_port, reuse_address=True).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        if request.raw_path == "/busy":
            return web.json_response({"busy": self.jobs})
        if request.raw_path != "/health":
            await request.read()
            await asyncio.sleep(self.answer_takes)
            self.answered += 1
        return web.Response(text="answer")

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.engine.path}:{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{self.engine.socket}",
            "PYTHONPATH": str(PACKAGE),
            "PYTHONWARNINGS": "error",
            "HOME": str(self.folder),
        }

    async def spawn(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *self.program,
            "--run-directory",
            str(self.folder / "run"),
            *arguments,
            env=self.environment() | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        process = await self.spawn(*arguments)
        output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def serve(self, **environment: str) -> None:
        state = {"STATE_DIRECTORY": str(self.folder / "state")}
        self.process = await self.spawn("serve", "--config", str(self.folder / "config.json"), **state | environment)
        await self.log_says("listening on")

    async def compose_file_is_read(self) -> None:
        """The daemon reads it after it listens, and the answer takes its way back from the command."""
        async with asyncio.timeout(10):
            while not self.engine.commands:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)

    async def log_says(self, words: str) -> str:
        """Read the daemon's log until a line has `words`."""
        assert self.process is not None
        assert self.process.stderr is not None
        seen = ""
        async with asyncio.timeout(10):
            while line := (await self.process.stderr.readline()).decode():
                seen += line
                if words in line:
                    return line
        raise AssertionError(f"{words!r} was not said: {seen}")

    async def end(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.communicate(), 10)
        assert self.process.returncode is not None
        return self.process.returncode

    async def get(self, path: str = "/") -> tuple[int, str]:
        assert self.client is not None
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.client.get(url, headers={"Host": HOST, "Connection": "close"}) as response:
            return response.status, response.headers.get("X-Autostart", "")

    async def state(self) -> dict[str, object]:
        _, output, _ = await self.command("status", "--json")
        (service,) = json.loads(output)["services"]
        return dict(service)

    async def admin(self, path: str) -> str:
        connector = aiohttp.UnixConnector(str(self.folder / "run" / "admin.sock"))
        async with aiohttp.ClientSession(connector=connector) as session, session.get(f"http://x{path}") as response:
            assert response.status == 200
            return await response.text()


AnyWorld = TypeVar("AnyWorld", bound=World)


@asynccontextmanager
async def running(made: AnyWorld) -> AsyncIterator[AnyWorld]:
    """The engine runs; the daemon is started by the test."""
    await made.engine.begin()
    made.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    try:
        yield made
    finally:
        await made.client.close()
        if made.process is not None:
            await made.end()
        await made.engine.kill_all()
        await made.engine.end()


def world(folder: Path) -> AbstractAsyncContextManager[World]:
    return running(World(folder))
