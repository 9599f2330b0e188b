"""Requests to the whole daemon, which is a process (`daemon_process.py`)."""

import asyncio
import json
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docker_autostart.configuration import START_TIMEOUT
from docker_autostart.connections import LAST_KEEPALIVE_TIMEOUT
from docker_autostart.leases import UPLOAD_PATIENCE
from tests.unit.autostart.daemon_process import AS_SYSTEMD, HOST, world
from tests.unit.autostart.site import error_of


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
