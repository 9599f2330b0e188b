"""Answers that are given before the body was read must reach a client that is still sending.

A server that closes such a connection makes the kernel reset it, and the answer is lost on the way (RFC 9112,
section 9.6). So the answer is sent whole, and what still comes is read and thrown away for a while.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = 30


class LingeringClose:
    """ASGI middleware that drains the request's body after the answer, for at most 30 seconds."""

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
            # Content-Length tells the client that this is all; the server must not know yet.
            await send({**message, "more_body": True})
            try:
                async with asyncio.timeout(_SECONDS):
                    while not body_read:
                        await watched_receive()
            except TimeoutError:
                pass
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, watched_receive, lingering_send)
