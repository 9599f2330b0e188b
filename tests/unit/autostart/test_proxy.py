"""What the proxy makes of heads, hosts and paths, over real sockets, in front of a real server (`site.py`)."""

import asyncio
import json
from contextlib import suppress

import pytest
from aiohttp import web

from docker_autostart.leases import Lease
from docker_autostart.metrics import CLIENTS
from docker_autostart.proxy import CLIENT
from docker_autostart.service import Service
from tests.unit.autostart.site import HOST, echo, error_of, running_site


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
