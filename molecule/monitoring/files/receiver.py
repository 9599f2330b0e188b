"""A mail server (RFC 5321, as far as Alertmanager needs it) and a web server that write down what they receive.

E-mails go to FOLDER/mails, lines of HTTP requests to FOLDER/requests.
"""

import asyncio
import sys
from pathlib import Path

SMTP_PORT, HTTP_PORT = 2525, 2580


class Receiver:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def _write(self, name: str, text: bytes) -> None:
        with (self._folder / name).open("ab") as file:
            file.write(text + b"\n")

    async def mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 receiver\r\n")
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                self._write("mails", await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
            if command == b"QUIT":
                break
        writer.close()

    async def request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self._write("requests", head.splitlines()[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()


async def main(folder: Path) -> None:
    receiver = Receiver(folder)
    servers = (
        await asyncio.start_server(receiver.mail, "127.0.0.1", SMTP_PORT),
        await asyncio.start_server(receiver.request, "127.0.0.1", HTTP_PORT),
    )
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main(Path(sys.argv[1])))
