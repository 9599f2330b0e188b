"""What all routes have in common: HEAD, redundant slashes, and responses that must not be cached."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Public files, which may be cached.
_KEPT = ("/docs", "/openapi.json")


class PlainHttp:
    """ASGI middleware.

    Paths with redundant slashes are served without a redirect, which would need a scheme and a host: behind the proxy
    the server does not know them.
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
        # A copy, because uvicorn decides by its own scope whether the response has a body.
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
