"""The whole daemon as a process: its command line, signals, admin socket, systemd protocols, and its real clients.

What it talks to is not Docker but `testbed.fake_docker_engine`, an Engine API on a unix socket and a `docker` command;
the container is a real HTTP server on a real port.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web

import docker_autostart
from docker_autostart.configuration import START_TIMEOUT
from docker_autostart.connections import LAST_KEEPALIVE_TIMEOUT
from docker_autostart.leases import UPLOAD_PATIENCE
from testbed.fake_docker_engine import FakeEngine
from tests.unit.autostart.site import error_of, free_port

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


async def test_wakes_serves_and_puts_to_sleep(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        machine.configure(idleTimeout=0.5)
        await machine.serve()
        machine.listens_after = 0.3
        answers = await asyncio.gather(*(machine.get() for _ in range(60)))
        assert set(answers) == {(200, "cold")}
        assert await machine.get() == (200, "warm")
        ups = [command for command in machine.engine.commands if command[0] == "up"]
        assert ups == [["up", "--detach", "--no-build", "--no-recreate"]]
        await machine.log_says("stopped (idle)")
        assert machine.engine.commands[-1] == ["stop", "--timeout", "30"]
        assert await machine.get() == (200, "cold")
        assert await machine.end() == 0


async def test_a_container_that_exists_and_is_unchanged_is_started_by_the_engine(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        machine.engine.created = datetime.now(UTC)
        await asyncio.sleep(0.01)
        await machine.serve()
        await machine.compose_file_is_read()
        assert await machine.get() == (200, "cold")
        assert machine.engine.starts == ["faster-whisper"]
        assert [command[0] for command in machine.engine.commands] == ["config"]


async def test_a_change_of_the_compose_file_is_left_to_compose(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        machine.engine.created = datetime.now(UTC)
        await machine.serve()
        await machine.compose_file_is_read()
        (tmp_path / "stack" / ".env").write_text("A=1\n")
        assert await machine.get() == (200, "cold")
        assert machine.engine.starts == []
        assert [command[0] for command in machine.engine.commands] == ["config", "up"]


async def test_ready_means_healthy_where_there_is_a_healthcheck(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        machine.engine.health["faster-whisper"] = "starting"
        asked = asyncio.create_task(machine.get())
        await asyncio.sleep(0.6)
        assert not asked.done()
        machine.engine.become("faster-whisper", "healthy")
        assert await asyncio.wait_for(asked, 10) == (200, "cold")


async def test_a_container_that_exits_fails_the_waiters_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        machine.listens_after = 20
        asked = asyncio.create_task(machine.get())
        await machine.engine.until_running("faster-whisper")
        await machine.engine.kill("faster-whisper")
        assert (await asyncio.wait_for(asked, START_TIMEOUT / 2))[0] == 503
        machine.listens_after = 0
        await asyncio.sleep(1.1)
        assert (await machine.get())[0] == 200


async def test_a_compose_that_fails_is_told_to_the_journal_and_not_to_the_client(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        machine.engine.up_failure = "no space left on device: /secret/path\n"
        assert machine.client is not None
        async with machine.client.get(f"http://127.0.0.1:{machine.port}/", headers={"Host": HOST}) as response:
            error = await error_of(response)
        assert (response.status, error["code"]) == (503, "start_failed")
        assert "secret" not in json.dumps(error)
        await machine.log_says("no space left on device: /secret/path")


async def test_an_engine_that_goes_and_returns(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        assert (await machine.get())[0] == 200
        await machine.engine.end()
        await machine.log_says("the Docker Engine does not answer")
        assert await machine.get() == (200, "warm")
        await machine.engine.kill_all()
        assert (await machine.get())[0] in {502, 503}
        assert (await machine.get())[0] == 503
        await machine.engine.begin()
        await asyncio.sleep(1.5)
        assert (await machine.get())[0] == 200


async def test_a_killed_container_is_started_for_the_next_request(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        assert (await machine.get())[0] == 200
        await machine.engine.kill("faster-whisper")
        assert await machine.get() == (200, "cold")


async def test_what_is_started_from_outside_is_adopted_and_put_to_sleep(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        machine.configure(idleTimeout=1)
        await machine.serve()
        await machine.engine.run("faster-whisper")
        await machine.log_says("ready after")
        await machine.log_says("stopped (idle)")


async def test_jobs_postpone_the_stop(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        machine.configure(idleTimeout=0.5, busyPath="/busy")
        await machine.serve()
        machine.jobs = 2
        await machine.get()
        await machine.log_says("not stopped: 2 jobs run")
        machine.jobs = 0
        await machine.log_says("stopped (idle)")


async def test_a_request_on_a_kept_connection_is_answered_by_a_daemon_that_ends(tmp_path: Path) -> None:
    """nginx keeps connections and repeats no POST: one that is closed under it would be an error for a user."""
    async with world(tmp_path) as machine:
        await machine.serve()
        assert machine.client is not None
        url = f"http://127.0.0.1:{machine.port}/"
        async with machine.client.get(url, headers={"Host": HOST}) as response:
            assert "Connection" not in response.headers
        assert machine.process is not None
        machine.process.send_signal(signal.SIGTERM)
        await machine.log_says("stopping")
        await asyncio.sleep(0.5)
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", machine.port)
        assert machine.process.returncode is None
        async with machine.client.post(url, headers={"Host": HOST}, data=b"body") as response:
            assert (response.status, response.headers["Connection"]) == (200, "close")
        assert await asyncio.wait_for(machine.process.wait(), LAST_KEEPALIVE_TIMEOUT - 1) == 0


async def test_a_connection_that_nobody_uses_does_not_keep_a_daemon_from_ending(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        assert machine.process is not None
        machine.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(machine.process.wait(), 2 * LAST_KEEPALIVE_TIMEOUT) == 0
        assert await reader.read() == b""
        writer.close()


async def test_a_trickled_upload_does_not_keep_a_daemon_from_ending(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        assert (await machine.get())[0] == 200
        machine.answer_takes = UPLOAD_PATIENCE + 1
        long = asyncio.create_task(machine.get("/long"))
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.port)
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n\r\n".encode())

        async def trickle() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.2)

        trickling = asyncio.create_task(trickle())
        await asyncio.sleep(0.5)
        assert machine.process is not None
        machine.process.send_signal(signal.SIGTERM)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2 * UPLOAD_PATIENCE)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in head
        assert (await long)[0] == 200
        assert await asyncio.wait_for(machine.process.wait(), 2 * LAST_KEEPALIVE_TIMEOUT) == 0
        trickling.cancel()
        writer.close()


async def test_a_restart_loses_no_request_and_no_clock(tmp_path: Path) -> None:
    """With socket activation: what arrives between the two processes waits in the socket."""
    async with world(tmp_path) as machine:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", machine.port))
        listener.listen(100)

        async def launch() -> None:
            machine.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                AS_SYSTEMD,
                str(listener.fileno()),
                "--run-directory",
                str(tmp_path / "run"),
                "serve",
                "--config",
                str(tmp_path / "config.json"),
                env=machine.environment() | {"STATE_DIRECTORY": str(tmp_path / "state")},
                pass_fds=(listener.fileno(),),
                stderr=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            await machine.log_says("listening on")

        await launch()
        assert (await machine.get())[0] == 200
        machine.answer_takes = 0.5
        long = asyncio.create_task(machine.get("/long"))
        await asyncio.sleep(0.1)
        assert machine.process is not None
        machine.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        between = [asyncio.create_task(machine.get("/between")) for _ in range(20)]
        assert (await long)[0] == 200
        assert await machine.end() == 0
        used = json.loads((tmp_path / "run" / "services.json").read_text())[HOST]["last_used"]
        await launch()
        assert {status for status, _ in await asyncio.gather(*between)} == {200}
        assert [command[0] for command in machine.engine.commands].count("up") == 1
        assert json.loads((tmp_path / "run" / "services.json").read_text())[HOST]["last_used"] >= used
        await machine.end()
        listener.close()


async def test_reload_with_a_good_and_a_bad_file(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        assert machine.process is not None
        machine.configure(idleTimout=1)
        machine.process.send_signal(signal.SIGHUP)
        line = await machine.log_says('did you mean "idleTimeout"?')
        assert f"config.json: line 11: services.{HOST}.idleTimout: unknown key" in line
        await machine.log_says("the configuration stays as it was")
        machine.configure(containers=["other"])
        machine.process.send_signal(signal.SIGHUP)
        line = await machine.log_says("the compose file has no container other; it has faster-whisper")
        assert f"line 8: services.{HOST}.containers: " in line
        assert (await machine.get())[0] == 200
        machine.configure(idleTimeout=1)
        machine.process.send_signal(signal.SIGHUP)
        await machine.log_says("was applied")
        await machine.log_says("stopped (idle)")


@pytest.mark.parametrize(
    ("written", "logged"),
    [
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('{"services": {"\\ud800": 1}}', "is not a host name"),
        ("/" + 300 * "a", "is not a folder"),
        ("/a\0", "is not a folder"),
    ],
    ids=["nested", "surrogate", "long name", "NUL"],
)
async def test_reload_survives_any_file(tmp_path: Path, written: str, logged: str) -> None:
    """The whole file, or where it begins with a slash the folder of a service."""
    async with world(tmp_path) as machine:
        await machine.serve()
        assert machine.process is not None
        if written.startswith("/"):
            machine.configure(composeDir=written)
        else:
            machine.configure(written)
        machine.process.send_signal(signal.SIGHUP)
        await machine.log_says(logged)
        await machine.log_says("the configuration stays as it was")
        machine.configure(idleTimeout=1)
        machine.process.send_signal(signal.SIGHUP)
        await machine.log_says("was applied")


async def test_operators_commands(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        code, _, errors = await machine.command("status")
        assert code == 1
        assert "is docker-autostart running?" in errors
        machine.configure(idleTimeout=100)
        await machine.serve()
        assert (await machine.state())["state"] == "stopped"
        assert await machine.command("start", HOST) == (0, f"{HOST}: ready\n", "")
        assert await machine.command("hold", "faster-whisper") == (0, f"{HOST}: ready, held awake\n", "")
        code, table, _ = await machine.command("status")
        heads, row = table.splitlines()
        assert heads.split()[:2] == ["SERVICE", "STATE"]
        assert row.split()[:3] == [HOST, "ready", "1/1"]
        assert row.endswith("held awake")
        assert await machine.command("release", HOST) == (0, f"{HOST}: ready\n", "")
        assert await machine.command("stop", HOST) == (0, f"{HOST}: stopped\n", "")
        assert machine.engine.commands[-1][0] == "stop"
        code, _, errors = await machine.command("start", "other")
        assert code == 1
        assert errors == f"No service is called other; known are {HOST}.\n"
        machine.engine.up_failure = "broken\n"
        code, _, errors = await machine.command("start", HOST)
        assert (code, errors) == (1, "Whisper could not be started.\n")
        kinds = [event["kind"] for event in json.loads(await machine.admin("/events"))["events"]]
        assert kinds == ["starting", "ready", "pinned", "released", "stopped", "starting", "failed"]
        assert 'autostart_start_seconds_count{service="' in await machine.admin("/metrics")
        assert (tmp_path / "run" / "admin.sock").stat().st_mode & 0o777 == 0o600


async def test_admin_is_not_reachable_through_the_port(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        assert machine.client is not None
        for path in ("/status", "/metrics/", "/events", "/services/whisper/start"):
            async with machine.client.get(f"http://127.0.0.1:{machine.port}{path}") as response:
                assert response.status == 404


async def test_everybody_may_read_the_states_and_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        status = tmp_path / "run" / "status.json"

        async def says(state: str) -> None:
            async with asyncio.timeout(5):
                while not status.exists() or json.loads(status.read_text()) != {HOST: state}:
                    await asyncio.sleep(0.05)

        previous = os.umask(0o077)
        try:
            await machine.serve()
        finally:
            os.umask(previous)
        await says("stopped")
        machine.listens_after = 1.5
        request = asyncio.create_task(machine.get())
        await says("starting")
        assert await request == (200, "cold")
        await says("ready")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
        assert {name for name, mode in modes.items() if mode & 0o077} == {"status.json"}
        assert await machine.end() == 0
        assert not status.exists()


async def test_check_config(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        file = tmp_path / "config.json"
        assert await machine.command("check-config", str(file)) == (0, "", "")
        machine.configure(idleTimeout=-1)
        code, output, errors = await machine.command("check-config", str(file))
        assert (code, output) == (78, "")
        assert errors.startswith(f"{file}: line 11: services.{HOST}.idleTimeout: must be a number of seconds, 0 ")
        machine.configure(composeDir=str(tmp_path / "nowhere"))
        code, _, errors = await machine.command("check-config", str(file))
        assert (code, errors) == (
            78,
            f"{file}: line 6: services.{HOST}.composeDir: {tmp_path}/nowhere is not a folder\n",
        )
        machine.configure(composeFile="other.yml")
        code, _, errors = await machine.command("check-config", str(file))
        assert f"services.{HOST}.composeFile: {tmp_path}/stack/other.yml is not a file" in errors


@pytest.mark.parametrize("text", ['{"services": ', '{"services": {}, "ports": 1}'])
async def test_a_first_start_with_a_wrong_file_ends_with_its_fault(tmp_path: Path, text: str) -> None:
    async with world(tmp_path) as machine:
        machine.configure(text)
        code, _, errors = await machine.command("serve", "--config", str(tmp_path / "config.json"))
        assert code == 78
        assert errors.startswith(f"{tmp_path}/config.json: line 1: ")
        assert "Traceback" not in errors


async def test_a_folder_that_is_missing_at_the_start_leaves_the_others_served(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        document = json.loads((tmp_path / "config.json").read_text())
        document["services"]["gone.example.com"] = {
            "composeDir": "/nowhere",
            "proxyPort": free_port(),
            "containers": ["gone"],
        }
        machine.configure(json.dumps(document))
        await machine.serve()
        assert (await machine.get())[0] == 200
        assert machine.client is not None
        url = f"http://127.0.0.1:{machine.port}/"
        async with machine.client.get(url, headers={"Host": "gone.example.com"}) as response:
            assert (await error_of(response))["code"] == "start_failed"


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", machine.port))
            taken.listen()
            code, _, errors = await machine.command("serve", "--config", str(tmp_path / "config.json"))
        assert code == 1
        assert f"Address already in use (while attempting to bind on address ('127.0.0.1', {machine.port}))" in errors
        assert "Traceback" not in errors


async def test_tells_systemd(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(5)
            await machine.serve(NOTIFY_SOCKET=str(tmp_path / "notify"), JOURNAL_STREAM="8:1")
            assert manager.recv(1000).decode() == "READY=1\nSTATUS=Serving 1 services"
            assert machine.process is not None
            machine.process.send_signal(signal.SIGTERM)
            assert (await machine.log_says("stopping")).startswith("<6>")
            assert manager.recv(1000).decode().startswith("STOPPING=1\n")


async def test_listens_on_loopback_only(tmp_path: Path) -> None:
    async with world(tmp_path) as machine:
        await machine.serve()
        assert machine.process is not None
        listening = Path(f"/proc/{machine.process.pid}/net/tcp").read_text().splitlines()
        wanted = f":{machine.port:04X} "
        addresses = [line.split()[1] for line in listening if wanted in line and line.split()[3] == "0A"]
        assert addresses == [f"0100007F:{machine.port:04X}"]
