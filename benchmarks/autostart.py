"""What the autostart daemon costs while a service is awake, and how long a client waits while it is not.

The first part runs on this machine against a backend that does nothing: client → nginx → backend, and client → nginx →
daemon → backend, each program a process of its own, the engine a fake one. The second part asks the demo, whose service
is put to sleep before.
"""

import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import requests

from benchmarks.cold_start import asleep_to_answer
from benchmarks.rows import Row, above, below, exactly
from demo.transcribe import read_env
from testbed.fake_docker_engine import FakeEngine

ROOT = Path(__file__).parents[1]
NGINX = ROOT / ".cache/nginx"
HOST = "whisper.localhost"
BACKEND, DAEMON, STRAIGHT, THROUGH = 18001, 18890, 18080, 18081
"""Ports: the backend, the daemon, nginx before the backend, nginx before the daemon."""

FIRST_DAEMON = 58.0
"""Requests a second of the daemon that this one replaces, on two cores (`docker ps` by exec for each)."""
UPLOAD = 500_000_000
HELD = 100
SIMULTANEOUS = 200
CHUNK = bytes(262_144)

# What the role's site has for the way of a request; no TLS, which is the same on both ways.
NGINX_CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_max_body_size 0;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
    proxy_request_buffering off; proxy_buffering off;
    keepalive_requests 1000000;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 16; keepalive_timeout 1s; }}
    upstream daemon {{ server 127.0.0.1:{daemon}; keepalive 16; keepalive_timeout 1s; }}
    server {{ listen 127.0.0.1:{straight}; location / {{ proxy_pass http://backend; }} }}
    server {{ listen 127.0.0.1:{through}; location / {{ proxy_pass http://daemon; }} }}
}}
"""


def say(text: str) -> None:
    print(f"autostart: {text}", flush=True)


def nginx_program() -> str:
    """Path of an nginx: the machine's, or the distribution's package unpacked into .cache without being installed."""
    installed = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if installed:
        return installed
    unpacked = NGINX / "usr/sbin/nginx"
    if not unpacked.exists():
        say("fetching the distribution's nginx")
        NGINX.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=NGINX, check=True, capture_output=True)
        package = next(NGINX.glob("nginx_*.deb"))
        subprocess.run(["dpkg", "--extract", package, NGINX], check=True)
    return str(unpacked)


def megabytes(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.1).close()
    except OSError:
        return False
    return True


async def wait_for(port: int) -> None:
    """Return when something listens on the port. Raises `TimeoutError` after 20 s."""
    async with asyncio.timeout(20):
        while not _listens(port):
            await asyncio.sleep(0.05)


class Container:
    """The backend as the fake engine's container: ``delay`` seconds after its start it is run."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._ready: asyncio.Future[float] | None = None

    async def ready_at(self) -> float:
        """When the backend began to listen, the last time that it was started."""
        if self._ready is None:
            raise RuntimeError("it was never started")
        return await self._ready

    async def run(self) -> None:
        self._ready = asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.delay)
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.fake_backend", str(BACKEND))
        try:
            while not _listens(BACKEND):
                await asyncio.sleep(0.002)
            self._ready.set_result(time.monotonic())
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@contextmanager
def program(*command: str, **environment: str) -> Iterator[int]:
    """Run a program as long as the block lasts; yields its process id."""
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()
            _, complaints = process.communicate(timeout=20)
            if process.returncode not in {0, -15}:
                print(complaints, file=sys.stderr)


def exchange(connection: socket.socket, request: bytes) -> None:
    """Send a request and read its answer, of the backend's shape."""
    connection.sendall(request)
    answer = b""
    while not answer.endswith(b"}"):
        received = connection.recv(65536)
        if not received:
            raise ConnectionError(f"no whole answer: {answer!r}")
        answer += received
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"refused: {answer!r}")


def latencies(port: int, request: bytes, count: int) -> list[float]:
    """Microseconds of ``count`` requests, one after the other on one connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        measured = []
        for _ in range(count):
            start = time.perf_counter()
            exchange(connection, request)
            measured.append(1e6 * (time.perf_counter() - start))
    return measured


def added_latency(request: bytes) -> tuple[float, float]:
    """Microseconds at the median: straight from nginx to the backend, and what the daemon adds."""
    straight: list[float] = []
    through: list[float] = []
    for port in (STRAIGHT, THROUGH):
        latencies(port, request, 300)
    for _ in range(6):
        straight += latencies(STRAIGHT, request, 500)
        through += latencies(THROUGH, request, 500)
    return statistics.median(straight), statistics.median(through) - statistics.median(straight)


def upload_seconds(port: int) -> float:
    head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {UPLOAD}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        start = time.monotonic()
        connection.sendall(head.encode())
        for sent in range(0, UPLOAD, len(CHUNK)):
            connection.sendall(CHUNK[: UPLOAD - sent])
        exchange(connection, b"")
        return time.monotonic() - start


def upload_ratio() -> float:
    """Seconds of an upload through the daemon by those of one straight to the backend, the median of pairs."""
    return statistics.median(upload_seconds(THROUGH) / upload_seconds(STRAIGHT) for _ in range(5))


def scrape_milliseconds() -> float:
    """A scrape as Prometheus does it, the median of 200."""
    measured = []
    for _ in range(200):
        start = time.perf_counter()
        requests.get(f"http://127.0.0.1:{DAEMON}/metrics", timeout=5).raise_for_status()
        measured.append(1000 * (time.perf_counter() - start))
    return statistics.median(measured)


async def requests_per_second(port: int, seconds: float) -> float:
    """With 32 clients that ask again as soon as they are answered."""
    request = f"GET /v1/models HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    deadline = time.monotonic() + seconds
    answered = 0

    async def client() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < deadline:
            writer.write(request)
            await reader.readuntil(b"}")
            answered += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(32)))
    return answered / seconds


async def first_request(port: int) -> tuple[bytes, float]:
    """Ask on a connection of its own; returns the answer and when its first byte came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/models HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    first = await reader.read(1)
    came = time.monotonic()
    rest = await reader.read()
    writer.close()
    return first + rest, came


async def held_upload_megabytes(daemon: int, container: Container) -> float:
    """What one upload that waits for the service adds to the daemon's memory."""
    container.delay = 6.0
    before = megabytes(daemon)
    head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {UPLOAD}\r\n\r\n"
    connections = [await asyncio.open_connection("127.0.0.1", DAEMON) for _ in range(HELD)]
    for _, writer in connections:
        writer.write(head.encode() + CHUNK * 8)
    await asyncio.sleep(3)
    held = (megabytes(daemon) - before) / HELD
    for _, writer in connections:
        writer.transport.abort()
    await asyncio.sleep(6)
    return held


async def against_the_fake_backend() -> list[Row]:
    """The rows of the first part."""
    container = Container()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "stack").mkdir()
        (folder / "stack/compose.yaml").write_text("services: {}\n")
        engine = FakeEngine(folder, {"faster-whisper": container.run})
        await engine.begin()
        stack.push_async_callback(engine.end)
        stack.push_async_callback(engine.kill_all)
        service = {"composeDir": str(folder / "stack"), "proxyPort": BACKEND, "containers": ["faster-whisper"]}
        (folder / "config.json").write_text(json.dumps({"port": DAEMON, "services": {HOST: service}}))
        ports = {"straight": STRAIGHT, "through": THROUGH, "backend": BACKEND, "daemon": DAEMON}
        (folder / "nginx.conf").write_text(NGINX_CONFIGURATION.format(folder=folder, **ports))
        stack.enter_context(program(nginx_program(), "-p", str(folder), "-c", str(folder / "nginx.conf")))
        serve = ("--run-directory", str(folder), "serve", "--config", str(folder / "config.json"))
        daemon = stack.enter_context(
            program(
                *(sys.executable, "-m", "docker_autostart", *serve),
                DOCKER_HOST=f"unix://{engine.socket}",
                PATH=f"{engine.path}:{os.environ['PATH']}",
                PYTHONPATH=str(ROOT / "roles/autostart/files"),
                MALLOC_ARENA_MAX="1",
            )
        )
        await wait_for(DAEMON)
        await asyncio.sleep(2)
        rows = [below("resident memory of the idle daemon", megabytes(daemon), "MB", 45)]

        say(f"{SIMULTANEOUS} simultaneous first requests")
        container.delay = 1.0
        answers = await asyncio.gather(*(first_request(THROUGH) for _ in range(SIMULTANEOUS)))
        started = len(engine.starts) + sum(command[0] == "up" for command in engine.commands)
        right = sum(answer.startswith(b"HTTP/1.1 200") and answer.endswith(b'{"bytes": 0}') for answer, _ in answers)
        rows += [
            exactly(f"{SIMULTANEOUS} simultaneous first requests: right answers", right, "", SIMULTANEOUS),
            exactly(f"{SIMULTANEOUS} simultaneous first requests: starts", started, "", 1),
        ]

        say("latency, requests per second, uploads of 500 MB")
        get = f"GET /v1/models HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        post = f"POST /v1 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2000\r\n\r\n".encode() + bytes(2000)
        for name, request in (("GET", get), ("POST of 2 kB", post)):
            straight, added = await asyncio.to_thread(added_latency, request)
            rows.append(
                below(f"latency added to nginx → backend ({straight:.0f} µs), {name}, median", added, "µs", 250)
            )
        rate = await requests_per_second(DAEMON, 3)
        rows += [
            above("requests per second, relative to the previous implementation (58)", rate / FIRST_DAEMON, "x", 60),
            below("500 MB upload: time relative to nginx → backend", await asyncio.to_thread(upload_ratio), "x", 1.3),
        ]

        rows.append(below("scrape of the daemon's metrics, median", scrape_milliseconds(), "ms", 20))

        say(f"{HELD} uploads that wait")
        await engine.kill("faster-whisper")
        await asyncio.sleep(0.5)
        rows.append(below("memory of a waiting upload", await held_upload_megabytes(daemon, container), "MB", 1))

        say("from ready to the first byte")
        waits = []
        for _ in range(25):
            await engine.kill("faster-whisper")
            await asyncio.sleep(0.3)
            container.delay = random.uniform(0.3, 4)  # noqa: S311 - not a secret
            answer, came = await first_request(THROUGH)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(f"refused: {answer!r}")
            waits.append(1000 * (came - await container.ready_at()))
        rows.append(
            below("backend ready → first byte, 95th percentile", statistics.quantiles(waits, n=20)[-1], "ms", 150)
        )
        # While somebody listens to the engine's events.
        await engine.kill_all()
    return rows


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; with ``warm`` the demo is not brought up to date first."""
    rows = asyncio.run(against_the_fake_backend())
    if not warm:
        say("bringing up the demo")
        subprocess.run(["demo/up"], cwd=ROOT, check=True, capture_output=True)
    say("asleep → answer, five times")
    return rows + asleep_to_answer(read_env(ROOT / ".demo/env"))
