"""`python -m benchmarks.fake_backend PORT`: the least that an HTTP server can do, so that what stands before it shows.

Every answer is 200 and says how many bytes of body came: `{"bytes": 2000}`.
"""

import asyncio
import sys
from typing import cast

import uvloop


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._head = b""
        self._missing = 0
        self._length = 0

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if self._missing <= 0:
                self._answer()
            return
        self._head += data
        head, end, body = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        self._head = b""
        self._length = _content_length(head)
        self._missing = self._length - len(body)
        if self._missing <= 0:
            self._answer()

    def _answer(self) -> None:
        self._missing = 0
        body = b'{"bytes": %d}' % self._length
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
