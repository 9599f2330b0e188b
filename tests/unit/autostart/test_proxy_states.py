"""What the proxy answers when a service starts, fails or sleeps."""

import asyncio
import hashlib

import pytest
from aiohttp import web

from tests.unit.autostart.site import echo, error_of, post, running_site


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
        answer = await post(site.client, site.url(), data)
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
