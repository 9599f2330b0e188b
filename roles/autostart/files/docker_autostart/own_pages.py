"""What the daemon's port serves for the machine itself: `http://127.0.0.1:8890/metrics`.

nginx forwards only the names of its sites, so that no request from outside has one of these.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from docker_autostart.configuration import normalize_host
from docker_autostart.exposition import Exposition
from docker_autostart.fleet import Fleet

NAMES = frozenset(("localhost", "127.0.0.1"))
PATH = "/metrics"


def with_own_pages(
    fleet: Fleet, exposition: Exposition, others: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """A handler that passes to `others` whatever is not for the daemon itself; a service of such a name comes first."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        host = normalize_host(request.headers.get("Host", ""))
        is_own = request.method == "GET" and request.raw_path.partition("?")[0] == PATH and host in NAMES
        return exposition.response() if is_own and host not in fleet.services else await others(request)

    return handle
