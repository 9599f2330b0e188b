"""Delivers responses that are sent before the request's body was read to clients that are still sending.

When a server closes such a connection, the kernel resets it, and the response may be lost (RFC 9112, section 9.6). So
the response is sent completely, and the rest of the body is read and discarded for a while.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = 30


class LingeringClose:
    """ASGI middleware that drains the request's body after the response, for at most 30 seconds."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        body_read = False

        async def watched_receive() -> Message:
            nonlocal body_read
            message = await receive()
            body_read = not message.get("more_body", False)
            return message

        async def lingering_send(message: Message) -> None:
            if message["type"] != "http.response.body" or message.get("more_body", False) or body_read:
                await send(message)
                return
            # The client knows by Content-Length that the response is complete; uvicorn must not know yet.
            await send({**message, "more_body": True})
            try:
                async with asyncio.timeout(_SECONDS):
                    while not body_read:
                        await watched_receive()
            except TimeoutError:
                pass
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, watched_receive, lingering_send)
