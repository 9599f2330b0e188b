"""What every route does alike: HEAD as GET, addresses with a slash too many, and answers that nobody keeps."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page and its files hold nothing of anybody's.
_KEPT = ("/docs", "/openapi.json")


class PlainHttp:
    """ASGI middleware.

    Addresses are answered whatever slashes they have, without a redirect: one would have to name a scheme and a host,
    of which the server knows only what is inside the proxy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        given = scope["path"]
        path = scope["path"] = re.sub("/{2,}", "/", given).rstrip("/") or "/"
        head = scope["method"] == "HEAD"
        # A copy, because uvicorn looks at its own to know whether the answer has a body.
        inner = {**scope, "method": "GET"} if head else scope

        async def plain_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not path.startswith(_KEPT):
                MutableHeaders(scope=message).setdefault("cache-control", "no-store")
            elif message["type"] == "http.response.body" and head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(inner, receive, plain_send)
        finally:
            scope["route"] = inner.get("route")
