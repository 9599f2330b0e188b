"""The proxy on a real port, in front of a real HTTP server. Only the stack is not: `FakeStack` has no containers."""

import asyncio
import hashlib
import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from docker_autostart.configuration import parse_configuration
from docker_autostart.connections import ClientConnections
from docker_autostart.engine import DockerEngine
from docker_autostart.fleet import Fleet
from docker_autostart.metrics import Metrics
from docker_autostart.proxy import Proxy
from docker_autostart.service import Service
from tests.unit.autostart.fake_stack import FakeStack

HOST = "whisper.example.com"

_reserved: list[socket.socket] = []


@dataclass
class Site:
    port: int
    stack: FakeStack
    service: Service
    fleet: Fleet
    connections: ClientConnections
    client: aiohttp.ClientSession
    metrics: Metrics
    events: list[tuple[str, str]] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def raw(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        """Everything that comes back for these bytes until the connection closes or two seconds pass without more."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        answer = b""
        try:
            async with asyncio.timeout(2):
                while data := await reader.read(65536):
                    answer += data
        except (TimeoutError, ConnectionError):
            pass
        writer.close()
        return answer

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def running_site(
    backend: Callable[[web.BaseRequest], object] | None, *, awake: bool = True, **service: object
) -> AsyncIterator[Site]:
    """`backend` handles what reaches the container; None for a container whose port nobody listens on."""
    server: web.ServerRunner | None = None
    backend_port = free_port()
    if backend is not None:
        server = web.ServerRunner(
            web.Server(backend, handler_cancellation=True, auto_decompress=False, access_log=None),  # type: ignore[arg-type]
            shutdown_timeout=0,
        )
        await server.setup()
        await web.TCPSite(server, "127.0.0.1", backend_port).start()
    document = {
        "services": {
            HOST: {
                "name": "Whisper <API>",
                "composeDir": "/opt/whisper-faster",
                "proxyPort": backend_port,
                "containers": ["faster-whisper"],
                **service,
            }
        }
    }
    stack = FakeStack()
    stack.start_takes = 0.05
    stack.stop_takes = 0.05
    stack.up = int(awake)
    events: list[tuple[str, str]] = []
    metrics = Metrics()
    fleet = Fleet(
        parse_configuration(json.dumps(document)),
        lambda _: stack,
        lambda _host, kind, message, _seconds: events.append((kind, message)),
    )
    engine = DockerEngine()
    metrics.watch(fleet, engine)
    proxy = Proxy(fleet, metrics.count_request)
    connections = ClientConnections(proxy.handle)
    runner = web.ServerRunner(connections, shutdown_timeout=1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    port = runner.addresses[0][1]
    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Host": HOST},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=20),
    )
    try:
        await asyncio.sleep(0.01)  # what runs is adopted
        yield Site(port, stack, fleet.services[HOST], fleet, connections, client, metrics, events)
    finally:
        await client.close()
        await runner.cleanup()
        await fleet.close()
        await proxy.close()
        await engine.close()
        if server is not None:
            await server.cleanup()


def free_port() -> int:
    """A port for a server that sets SO_REUSEADDR, as asyncio's do.

    A socket that is bound, and does not listen, keeps it: the system gives it to nobody else who asks for any port.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _reserved.append(reserved)
    return int(reserved.getsockname()[1])


async def error_of(response: aiohttp.ClientResponse) -> dict[str, object]:
    """The error object, whose four keys are always there."""
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    error = (await response.json())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


async def echo(request: web.BaseRequest) -> web.Response:
    """What reached the container, told in JSON."""
    size, digest = 0, hashlib.sha256()
    async for chunk in request.content.iter_any():
        size += len(chunk)
        digest.update(chunk)
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "headers": [[name, value] for name, value in request.headers.items()],
            "bytes": size,
            "sha256": digest.hexdigest(),
        }
    )


async def post(client: aiohttp.ClientSession, url: str, data: bytes) -> dict[str, object]:
    async with client.post(url, data=io.BytesIO(data)) as response:
        answer: dict[str, object] = await response.json()
        return answer
