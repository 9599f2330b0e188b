"""The proxy over real sockets, in front of a real server (`site.py`)."""

import asyncio
import gzip
import hashlib
import io
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web

from docker_autostart.leases import Lease
from docker_autostart.metrics import CLIENTS
from docker_autostart.proxy import CLIENT
from docker_autostart.service import Service
from tests.unit.autostart.site import HOST, error_of, running_site


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


async def test_a_cold_request_asks_the_service_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    ask = Service.try_acquire

    def count(service: Service, *, wake: bool = True) -> Lease | None:
        asked.append(wake)
        return ask(service, wake=wake)

    monkeypatch.setattr(Service, "try_acquire", count)
    async with running_site(echo, awake=False) as site, site.client.get(site.url()) as response:
        assert (response.status, response.headers["X-Autostart"]) == (200, "cold")
    assert asked == [True]


async def test_passes_requests_on_unchanged_but_for_what_ends_at_a_proxy() -> None:
    async with running_site(echo) as site:
        answer = await site.raw(
            b"PATCH /a%2Fb/../c//d;x?q=%20+&empty= HTTP/1.1\r\n"
            b"Host: " + HOST.encode() + b":8890\r\n"
            b"X-Request-Id: abc-123\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
            b"Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
            b"Proxy-Authorization: x\r\n"
            b"Accept-Encoding: br\r\nCookie: a=1\r\nX-Twice: 1\r\nX-Twice: 2\r\nX-Latin: caf\xc3\xa9\r\n"
            b"Connection: close\r\nContent-Length: 2\r\n\r\nhi"
        )
    head, _, body = answer.partition(b"\r\n\r\n")
    seen = json.loads(body)
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert seen["method"] == "PATCH"
    assert seen["path"] == "/a%2Fb/../c//d;x?q=%20+&empty="
    assert seen["bytes"] == 2
    assert headers["host"] == f"{HOST}:8890"
    assert headers["x-request-id"] == "abc-123"
    assert headers["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == f"{HOST}:8890"
    assert headers["accept-encoding"] == "br"
    assert headers["x-latin"] == "café"
    assert [value for name, value in seen["headers"] if name.lower() == "x-twice"] == ["1", "2"]
    assert not {"x-private", "keep-alive", "te", "proxy-authorization", "user-agent", "accept"} & set(headers)
    assert b"X-Request-Id: abc-123" in head
    assert b"X-Autostart: warm" in head
    assert b"Server-Timing: wake;dur=0.0" in head


@pytest.mark.parametrize(
    "target",
    [
        "//v1/models",
        "///",
        "//other.example.com/v1/models",
        "/v1//models/",
        "/%2F%2fv1/%6dodels",
        "/v1/models/Systran%2Ffaster-whisper-base?x=%2F&y=//",
        "/v1/%C3%A9%25/%00",
        "/v1/./models/..",
        "/http://other.example.com/",
        "/?",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_passes_paths_on_byte_by_byte(method: str, target: str) -> None:
    seen: list[tuple[str, str, str]] = []

    async def note(request: web.BaseRequest) -> web.Response:
        seen.append((request.method, request.raw_path, request.headers["Host"]))
        return web.Response(text="here")

    async with running_site(note) as site:
        request = f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        answer = await site.raw(request.encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n" if method == "HEAD" else b"\r\n\r\nhere")
    assert seen == [(method, target, HOST)]


@pytest.mark.parametrize(
    "location", ["/docs", "//v1", "../models?a=%2F", "http://127.0.0.1:8001/docs", "https://other.example.com/x"]
)
async def test_addresses_in_answers_are_the_container_s_own(location: str) -> None:
    """None is built from a scheme or a host: behind a proxy, whatever the daemon believed of them could be wrong."""

    async def redirect(_: web.BaseRequest) -> web.Response:
        return web.Response(status=307, headers={"Location": location, "Link": f"<{location}>"})

    async with running_site(redirect) as site:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "whisper.example.org"}
        async with site.client.get(site.url(), headers=headers, allow_redirects=False) as response:
            assert response.headers["Location"] == location
            assert response.headers["Link"] == f"<{location}>"
            told = {name: value for name, value in response.headers.items() if name not in {"Location", "Link"}}
            assert not [value for value in told.values() if "example" in value or "127.0.0.1" in value]


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 1234",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "X-Neither: 1",
        "Content-Length: 4\r\nConnection: close",
    ],
)
@pytest.mark.parametrize("awake", [True, False])
async def test_head_is_answered_without_a_body_whatever_its_head_says(head: str, awake: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while request := await reader.readuntil(b"\r\n\r\n"):
                assert request.startswith(b"HEAD /v1/models ")
                writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
                if "close" in head:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running_site(None, awake=awake, proxyPort=port) as site:
        reader, writer = await site.connect()
        for _ in range(2):
            writer.write(f"HEAD /v1/models HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert (b"\r\nContent-Length: 1234\r\n" in answer) == ("1234" in head)
        writer.close()


@pytest.mark.parametrize("identity", ["", "with space", "x" * 129, "<b>"])
async def test_makes_a_request_id_where_the_client_has_none_that_can_be_one(identity: str) -> None:
    async with running_site(echo) as site, site.client.get(site.url(), headers={"X-Request-Id": identity}) as response:
        made = response.headers["X-Request-Id"]
        seen = {name.lower(): value for name, value in (await response.json())["headers"]}
    assert len(made) == 32
    assert seen["x-request-id"] == made


@pytest.mark.parametrize("host", [HOST.upper(), HOST + ".", HOST + ":8890", HOST + ".:443"])
async def test_matches_hosts_without_case_port_and_trailing_dot(host: str) -> None:
    async with running_site(echo) as site, site.client.get(site.url(), headers={"Host": host}) as response:
        assert response.status == 200


async def test_host_of_an_absolute_target_counts_for_more_than_the_header() -> None:
    async with running_site(echo) as site:
        answer = await site.raw(f"GET http://{HOST}/x?y HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n".encode())
        assert b'"path": "/x?y"' in answer
        answer = await site.raw(f"GET http://other/x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 ")


async def test_unknown_host_is_404_and_wakes_nothing() -> None:
    async with running_site(echo, awake=False) as site:
        for path in ("/", "/health/whisper", "/api/services", "/metrics"):
            async with site.client.get(site.url(path), headers={"Host": "other.example.com"}) as response:
                assert response.status == 404
                assert (await error_of(response))["code"] == "unknown_host"
        assert site.stack.starts == 0


async def test_first_requests_share_one_start_and_say_that_they_waited() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 0.2

        async def ask(number: int) -> tuple[int, str, float]:
            async with site.client.post(site.url(f"/{number}"), data=b"x" * number) as response:
                assert (await response.json())["bytes"] == number
                timing = response.headers["Server-Timing"]
                return response.status, response.headers["X-Autostart"], float(timing.removeprefix("wake;dur="))

        answers = await asyncio.gather(*(ask(number) for number in range(90)))
        assert {answer[:2] for answer in answers} == {(200, "cold")}
        assert all(150 < answer[2] < 2000 for answer in answers)
        assert site.stack.starts == 1
        labels = {"service": HOST, "status": "200", "start": "cold"}
        assert site.metrics.registry.get_sample_value("autostart_requests_total", labels) == 90


async def test_requests_are_counted_by_client_and_at_most_a_hundred_are_told_apart() -> None:
    async with running_site(echo) as site:
        for client in ["", "phone", 'x"y\\', *(f"client-{number}" for number in range(CLIENTS)), "phone"]:
            async with site.client.get(site.url(), headers={CLIENT: client}) as response:
                assert response.status == 200

        def count(client: str) -> float | None:
            labels = {"service": HOST, "client": client}
            return site.metrics.registry.get_sample_value("autostart_client_requests_total", labels)

        assert [count(client) for client in ("", "phone", 'x"y\\', "client-0", "other")] == [1, 2, 1, 1, 3]
        assert count(f"client-{CLIENTS - 1}") is None


async def test_bodies_of_any_size_and_coding_arrive_whole() -> None:
    async with running_site(echo, awake=False) as site:
        data = b"0123456789abcdef" * (20 * 65536)

        async def chunks() -> object:
            for start in range(0, len(data), 1_000_003):
                yield data[start : start + 1_000_003]

        for body in (io.BytesIO(data), chunks()):
            async with site.client.post(site.url(), data=body) as response:
                answer = await response.json()
                assert (answer["bytes"], answer["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


async def test_a_held_body_stays_in_the_socket() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 1.0
        data = b"x" * 30_000_000
        upload = asyncio.create_task(_post(site.client, site.url(), data))
        await asyncio.sleep(0.7)
        (connection,) = site.connections.connections
        request = connection._current_request
        assert request is not None
        assert 0 < request.content.total_bytes <= 256 * 1024
        assert (await upload)["sha256"] == hashlib.sha256(data).hexdigest()


async def _post(client: aiohttp.ClientSession, url: str, data: bytes) -> dict[str, object]:
    async with client.post(url, data=io.BytesIO(data)) as response:
        answer: dict[str, object] = await response.json()
        return answer


async def test_continue_is_said_when_the_container_is_ready() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 0.5
        reader, writer = await site.connect()
        began = time.monotonic()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert time.monotonic() - began >= 0.4
        writer.write(b"body")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_answers_are_streamed_as_they_come() -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"data: x\n\n")
            await asyncio.sleep(0.2)
        return response

    async with running_site(drip) as site, site.client.get(site.url()) as response:
        began = time.monotonic()
        times = []
        while await response.content.readany():
            times.append(time.monotonic() - began)
            assert site.service.in_flight == 1
    assert len(times) == 3
    assert times[0] < 0.1
    assert times[2] > 0.35


async def test_requests_are_streamed_as_they_come() -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(request: web.BaseRequest) -> web.Response:
        async for chunk in request.content.iter_any():
            got.put_nowait(chunk)
        return web.Response()

    async with running_site(listen) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n".encode())
        assert await asyncio.wait_for(got.get(), 1) == b"one"
        writer.write(b"3\r\ntwo\r\n0\r\nX-Trailer: dropped\r\n\r\n")
        assert await asyncio.wait_for(got.get(), 1) == b"two"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_a_head_does_not_wait_for_its_body() -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=403, text="not here")

    async with running_site(refuse) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5000\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 403 ")
        writer.close()


async def test_compressed_answers_are_let_be() -> None:
    packed = gzip.compress(b"text")

    async def compressed(_: web.BaseRequest) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"})

    async with running_site(compressed) as site, site.client.get(site.url()) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == packed


@pytest.mark.parametrize(
    ("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET"), (204, "DELETE"), (404, "HEAD")]
)
async def test_answers_without_a_body_keep_their_head_and_the_connection(status: int, method: str) -> None:
    async def bare(_: web.BaseRequest) -> web.Response:
        headers = {"ETag": '"1"'} | ({"Content-Length": "1234"} if method == "HEAD" else {})
        return web.Response(status=status, headers=headers)

    async with running_site(bare) as site:
        request = f"{method} / HTTP/1.1\r\nHost: {HOST}\r\n".encode()
        answer = await site.raw(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
        heads = [head for head in answer.split(b"\r\n\r\n") if head]
        assert len(heads) == 2
        for head in heads:
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            assert b'etag: "1"' in head.lower()
            assert (b"Content-Length: 1234" in head) == (method == "HEAD")


async def test_http_1_0_gets_a_length_or_the_end_of_the_connection() -> None:
    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"one")
        await asyncio.sleep(0.05)
        await response.write(b"two")
        return response

    async with running_site(stream) as site:
        head, _, body = (await site.raw(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b"chunked" not in head.lower()
    assert body == b"onetwo"


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with running_site(echo, awake=False) as site:
        requests = [f"GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() for number in range(5)]
        requests.append(f"GET /last HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = await site.raw(b"".join(requests))
    positions = [answer.index(f'"path": "/{name}"'.encode()) for name in (*range(5), "last")]
    assert positions == sorted(positions)
    assert answer.count(b"HTTP/1.1 200 OK") == 6


async def test_informational_answers_do_not_end_the_request() -> None:
    async def hinting(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        return web.Response(text="done")

    async with running_site(hinting) as site, site.client.get(site.url()) as response:
        assert (response.status, await response.text()) == (200, "done")


async def test_an_early_answer_reaches_a_client_that_still_uploads() -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        await request.content.readany()
        response = web.Response(status=413, text="too large")
        response.force_close()
        return response

    async with running_site(refuse) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 50000000\r\n\r\n".encode() + b"x" * 100_000)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        assert head.startswith(b"HTTP/1.1 413 ")
        assert await asyncio.wait_for(reader.readexactly(9), 2) == b"too large"
        writer.close()


async def test_a_connection_to_the_container_serves_one_request_after_another() -> None:
    ports = set()

    async def note(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text=str(len(await request.read())))

    async with running_site(note) as site:
        for size in (0, 10, 1_000_000, 0, 100):
            async with site.client.post(site.url(), data=io.BytesIO(b"x" * size)) as response:
                assert await response.text() == str(size)
        async with site.client.head(site.url()) as response:
            assert response.status == 200
        async with site.client.get(site.url()) as response:
            assert await response.text() == "0"
    assert len(ports) == 1


async def test_a_connection_with_half_an_upload_in_it_is_not_used_again() -> None:
    ports = []

    async def answer_at_once(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        response = web.Response(text="no")
        await response.prepare(request)
        await response.write_eof()
        await request.read()
        return response

    async with running_site(answer_at_once) as site:
        reader, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 50000000\r\n\r\n".encode() + b"x" * 100_000)
        assert (await asyncio.wait_for(reader.readuntil(b"no"), 2)).startswith(b"HTTP/1.1 200 ")
        async with site.client.get(site.url()) as response:
            assert await response.text() == "no"
        writer.close()
    assert len(set(ports)) == 2


async def test_a_connection_that_the_container_closed_is_not_used_again() -> None:
    async def close(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        asyncio.get_running_loop().call_later(0.05, request.transport.close)
        return web.Response(text="once")

    async with running_site(close) as site:
        for _ in range(3):
            async with site.client.post(site.url(), data=b"x") as response:
                assert await response.text() == "once"
            await asyncio.sleep(0.1)


async def test_an_answer_that_breaks_off_is_broken_off_for_the_client() -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with running_site(break_off) as site, site.client.get(site.url()) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


class Patient:
    """A container that works until it is told that nobody waits any more."""

    def __init__(self, *, reads_body: bool) -> None:
        self.reads_body = reads_body
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.entered.set()
        try:
            if self.reads_body:
                await request.read()
            await asyncio.sleep(30)
        finally:
            self.left.set()
        return web.Response()


@pytest.mark.parametrize("body", [0, 1000])
async def test_a_client_that_leaves_frees_the_container_within_a_second(body: int) -> None:
    container = Patient(reads_body=True)
    async with running_site(container.handle) as site:
        _, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {body}\r\n\r\n".encode() + b"x" * body)
        await container.entered.wait()
        writer.close()
        await asyncio.wait_for(container.left.wait(), 1)
        assert site.service.in_flight == 0


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave as a process does that is killed with unread data: RST, not FIN behind what was not delivered yet."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_client_that_leaves_an_upload_that_nobody_reads_is_noticed_within_a_second() -> None:
    over = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with server, running_site(None, proxyPort=server.sockets[0].getsockname()[1]) as site:
        _, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 90000000\r\n\r\n".encode())
        for _ in range(500):
            writer.write(b"x" * 100_000)
        await asyncio.sleep(0.5)
        assert site.service.in_flight == 1
        reset(writer)
        await asyncio.sleep(1)
        assert site.service.in_flight == 0
        over.set()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("sent", "leave"), [(400_000, asyncio.StreamWriter.close), (20_000_000, reset)])
async def test_a_client_that_leaves_while_held_frees_its_place(
    sent: int, leave: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_takes = 5
        _, writer = await site.connect()
        writer.write(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 90000000\r\n\r\n".encode() + b"x" * sent)
        await asyncio.sleep(0.2)
        assert site.service.waiting == 1
        leave(writer)
        await asyncio.sleep(1)
        assert site.service.waiting == 0
        assert site.stack.starts == 1


async def test_websockets_pass_and_keep_the_service_awake() -> None:
    async def socket(request: web.BaseRequest) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data.upper())
        return response

    async with running_site(socket, awake=False) as site:
        async with site.client.ws_connect(site.url()) as connection:
            for word in ("one", "x" * 300_000):
                await connection.send_str(word)
                assert await connection.receive_str() == word.upper()
            assert site.service.in_flight == 1
        await asyncio.sleep(0.1)
        assert site.service.in_flight == 0


async def test_other_protocols_are_tunnelled_byte_by_byte() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Upgrade: echo/1" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nhello ")
        while data := await reader.read(65536):
            writer.write(data[::-1])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running_site(None, proxyPort=port) as site:
        reader, writer = await site.connect()
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Upgrade: echo/1" in head
        writer.write(b"GET / \x00\xff\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(18), 1) == b"hello \n\r\n\r\xff\x00 / TEG"[:18]
        writer.close()
        await asyncio.sleep(0.1)
        assert site.service.in_flight == 0


async def test_a_refused_upgrade_is_an_answer_like_others() -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=426, text="no")

    async with running_site(refuse) as site:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.client.ws_connect(site.url())
        assert refused.value.status == 426


async def test_a_container_that_refuses_connections_is_started_once_more() -> None:
    async with running_site(None) as site:
        restarted = asyncio.Event()

        async def start() -> None:
            site.stack.starts += 1
            if not restarted.is_set():
                restarted.set()
                server = web.ServerRunner(web.Server(echo))
                await server.setup()
                await web.TCPSite(server, "127.0.0.1", site.service.settings.proxy_port).start()
                cleanup.append(server)

        cleanup: list[web.ServerRunner] = []
        site.stack.start = start  # type: ignore[method-assign]
        data = b"x" * 3_000_000
        answer = await _post(site.client, site.url(), data)
        assert answer["sha256"] == hashlib.sha256(data).hexdigest()
        assert restarted.is_set()
        for server in cleanup:
            await server.cleanup()


async def test_a_container_that_stays_unreachable_is_502() -> None:
    async with running_site(None) as site, site.client.get(site.url()) as response:
        assert response.status == 502
        assert (await error_of(response))["code"] == "upstream_failed"


async def test_a_container_that_dies_after_it_took_the_body_is_502_and_not_asked_again() -> None:
    taken = 0

    async def die(request: web.BaseRequest) -> web.Response:
        nonlocal taken
        await request.read()
        taken += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with running_site(die) as site:
        async with site.client.post(site.url(), data=b"once") as response:
            assert response.status == 502
        assert taken == 1
        async with site.client.get(site.url()) as response:
            assert response.status == 502
        assert taken > 2  # GET may be asked again


async def test_an_answer_that_is_not_http_is_502() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running_site(None, proxyPort=port) as site, site.client.get(site.url()) as response:
        assert response.status == 502


async def test_start_failures_are_503_at_once_then_until_the_next_attempt() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.start_failure = "its container exited."
        for _ in range(3):
            async with site.client.get(site.url()) as response:
                assert response.status == 503
                assert response.headers["Retry-After"] == "1"
                assert await error_of(response) == {
                    "message": "its container exited.",
                    "type": "server_error",
                    "param": None,
                    "code": "start_failed",
                }
        assert site.stack.starts == 1
        site.stack.start_failure = None
        await asyncio.sleep(1.05)
        async with site.client.get(site.url()) as response:
            assert response.status == 200


async def test_an_engine_that_is_away_has_its_own_code_and_is_forgiven_when_it_returns() -> None:
    async with running_site(echo, awake=False) as site:
        site.stack.engine_answers = False
        async with site.client.get(site.url()) as response:
            assert response.status == 503
            assert (await error_of(response))["code"] == "engine_unavailable"
        site.stack.engine_answers = True
        site.service.engine_returned()
        async with site.client.get(site.url()) as response:
            assert response.status == 200


async def test_a_wait_that_is_over_is_504_and_the_start_goes_on() -> None:
    async with running_site(echo, awake=False, startTimeout=1) as site:
        site.stack.start_takes = 1.5
        async with site.client.get(site.url()) as response:
            assert response.status == 504
            assert response.headers["Retry-After"] == "5"
            assert (await error_of(response))["code"] == "start_timeout"
        async with site.client.get(site.url()) as response:
            assert response.status == 200
        assert site.stack.starts == 1


async def test_no_more_than_two_hundred_wait() -> None:
    async with running_site(echo, awake=False) as site:
        started = asyncio.Event()
        site.stack.start = started.wait  # type: ignore[assignment,method-assign]
        answers: list[tuple[int, str]] = []

        async def ask() -> None:
            async with site.client.get(site.url()) as response:
                answers.append((response.status, response.headers.get("Retry-After", "")))

        asked = [asyncio.create_task(ask()) for _ in range(220)]
        async with asyncio.timeout(20):
            while len(answers) < 20 or site.service.waiting < 200:
                await asyncio.sleep(0.01)
        assert answers == [(503, "5")] * 20
        started.set()
        await asyncio.gather(*asked)
        assert answers[20:] == [(200, "")] * 200


NO_WAKE: dict[str, object] = {
    "noWakePaths": ["/health"],
    "noWakeMethods": ["TRACE"],
    "noWakeUserAgents": ["UptimeRobot"],
}


@pytest.mark.parametrize(
    ("method", "path", "agent"),
    [
        ("OPTIONS", "/v1/audio/transcriptions", "curl"),
        ("GET", "/health", "curl"),
        ("GET", "/health?deep=1", "curl"),
        ("TRACE", "/", "curl"),
        ("GET", "/", "Mozilla/5.0 (compatible; uptimerobot/2.0)"),
    ],
)
async def test_some_requests_neither_wake_nor_keep_awake(method: str, path: str, agent: str) -> None:
    async with running_site(echo, awake=False, **NO_WAKE) as site:
        headers = {"User-Agent": agent}
        async with site.client.request(method, site.url(path), headers=headers) as response:
            assert response.status == 503
            assert (await error_of(response))["code"] == "asleep"
        assert site.stack.starts == 0
        async with site.client.get(site.url("/healthy")) as response:
            assert response.status == 200
        used = site.service.clock.last_used
        await asyncio.sleep(0.05)
        async with site.client.request(method, site.url(path), headers=headers) as response:
            assert response.status == 200
        assert site.service.clock.last_used == used


async def test_browsers_see_a_page_while_a_service_starts_that_does_not_let_them_wait() -> None:
    async with running_site(echo, awake=False, blocking=False) as site:
        site.stack.start_takes = 0.3
        browser = {"Accept": "text/html,application/xhtml+xml"}
        async with site.client.get(site.url(), headers=browser) as response:
            page = await response.text()
            assert response.status == 503
            assert response.content_type == "text/html"
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Retry-After"] == "2"
            assert response.headers["X-Autostart-Waiting"] == "starting"
            assert "Whisper &lt;API&gt;" in page
            assert "<API>" not in page
            assert "//" not in page.replace("<!doctype", "")
        for method, accept in (("GET", "*/*"), ("POST", "text/html")):
            async with site.client.request(method, site.url(), headers={"Accept": accept}) as response:
                assert response.status == 503
                assert (await error_of(response))["code"] == "starting"
        await asyncio.sleep(0.4)
        async with site.client.get(site.url(), headers=browser) as response:
            assert response.status == 200
            assert "X-Autostart-Waiting" not in response.headers
        assert site.stack.starts == 1


async def test_browsers_see_a_page_when_such_a_start_failed() -> None:
    async with running_site(echo, awake=False, blocking=False) as site:
        site.stack.start_failure = "its container exited."
        async with site.client.get(site.url(), headers={"Accept": "text/html"}):
            await asyncio.sleep(0.1)
        async with site.client.get(site.url(), headers={"Accept": "text/html"}) as response:
            assert response.status == 503
            assert response.headers["X-Autostart-Waiting"] == "start_failed"
            assert "its container exited." in await response.text()


async def test_a_service_is_stopped_after_the_end_of_its_last_request_and_woken_by_the_next() -> None:
    async def slow(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.6)
        return web.Response(text="done")

    async with running_site(slow, awake=False, idleTimeout=0.3) as site:
        site.stack.in_use = lambda: site.service.in_flight
        async with site.client.get(site.url()) as response:
            assert await response.text() == "done"
        assert site.stack.stops == 0
        await asyncio.sleep(0.6)
        assert site.stack.stops == 1
        async with site.client.get(site.url()) as response:
            assert response.headers["X-Autostart"] == "cold"
        assert site.stack.starts == 2
