"""The daemon's configuration, admin socket, signals and systemd protocols."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.unit.autostart.daemon_process import HOST, world
from tests.unit.autostart.site import error_of, free_port


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
