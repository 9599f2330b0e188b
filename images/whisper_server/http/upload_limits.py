"""Limits of uploads: how many at once, minimum rate, maximum size, and free disk space."""

import asyncio
from collections import Counter
from pathlib import Path

from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.types import Message

from whisper_server.http.errors import ApiError, no_space
from whisper_server.process.settings import Settings
from whisper_server.work import shares
from whisper_server.work.disk_space import has_space

# Uploads at once. Each holds up to 0.6 MB of memory (measured) and a file on the disk.
PLACES = 32

# 8.7 kbit/s: GPRS at its worst, with one time slot and the most careful coding, gives 9.05 (3GPP TS 43.064). The daemon
# in front of this server has the same limit. Per minute, because a moving phone loses its network for seconds at a
# time. Minutes are independent: a fast start must not permit hours of silence.
_WINDOW_SECONDS = 60.0
_WINDOW_BYTES = 64 * 1024

_PLACE = "whisper_server.upload_place"


def refuse_full_disk(folder: Path, wanted: int) -> None:
    """Raises ApiError 503 if another `wanted` bytes would leave less than the reserve free."""
    if not has_space(folder, wanted):
        raise no_space()


class UploadPlaces:
    """The uploads that are being received or validated, by client. For one event loop."""

    def __init__(self) -> None:
        self._held: Counter[str | None] = Counter()

    @property
    def held(self) -> int:
        """Number of uploads."""
        return self._held.total()

    def take(self, request: HTTPConnection) -> "Place":
        """A place for a request's upload. Raises ApiError 429."""
        client = request.headers.get("x-remote-user")
        match shares.refusal(self._held, client, PLACES):
            case "everybody":
                message = f"The server is receiving {self.held} uploads already. Try again later."
                raise ApiError(429, message, code="queue_full", retry_after=5)
            case "owner":
                message = (
                    f"You are sending {self._held[client]} recordings already, the most that one client may send at "
                    "once at the moment. Send them sequentially."
                )
                raise ApiError(429, message, code="too_many_uploads", retry_after=5)
        place = Place(self._held, client)
        request.scope[_PLACE] = place
        return place


class Place:
    """A place for one upload."""

    def __init__(self, held: Counter[str | None], client: str | None) -> None:
        self._held = held
        self._client = client
        self._free = False
        held[client] += 1

    def free(self) -> None:
        """Frees the place; may be called more than once."""
        if not self._free:
            self._free = True
            self._held[self._client] -= 1
            self._held += Counter()  # in place: forgets clients without uploads

    def free_soon(self) -> None:
        """Frees the place when tasks that are created now have started: the request is always counted somewhere."""
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self.free)


def place_of(request: HTTPConnection) -> Place:
    """The place that `UploadPlaces.take` gave to the request."""
    place: Place = request.scope[_PLACE]
    return place


class LimitedBody:
    """A request's body, whose `receive` raises ApiError: 413 too large, 408 too slow, 503 disk full."""

    def __init__(self, request: Request, settings: Settings) -> None:
        self._receive = request.receive
        self._max_bytes = settings.upload_limit
        self._folder = settings.data_folder
        announced = request.headers.get("content-length", "")
        self._announced = int(announced) if announced.isdecimal() else 0
        self._received = 0
        self._complete = False
        self._begin_window()

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        if self._complete:
            return await self._receive()
        if self._announced > self._max_bytes:
            raise self._too_large()
        refuse_full_disk(self._folder, max(0, self._announced - self._received))
        message = await self._in_time()
        size = len(message.get("body", b""))
        self._received += size
        self._window_bytes += size
        self._complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            raise self._too_large()
        return message

    async def _in_time(self) -> Message:
        loop = asyncio.get_running_loop()
        while True:
            start = loop.time()
            try:
                async with asyncio.timeout(self._window_left):
                    message = await self._receive()
            except TimeoutError:
                if self._window_bytes < _WINDOW_BYTES:
                    raise self._too_slow() from None
                self._begin_window()
            else:
                # Only waiting counts: a slow disk is not the client's fault.
                self._window_left -= loop.time() - start
                return message

    def _begin_window(self) -> None:
        self._window_left = _WINDOW_SECONDS
        self._window_bytes = 0

    def _too_large(self) -> ApiError:
        message = (
            f"The request exceeds the limit of {self._max_bytes} bytes. Send less, or compress the audio (mp3, opus)."
        )
        return ApiError(413, message, param="file", code="upload_too_large")

    def _too_slow(self) -> ApiError:
        message = (
            f"The upload is too slow: {self._window_bytes} bytes came in {_WINDOW_SECONDS:g} seconds, at least "
            f"{_WINDOW_BYTES} are needed. Use a faster connection, or compress the audio (opus, mp3)."
        )
        return ApiError(408, message, param="file", code="request_timeout")
