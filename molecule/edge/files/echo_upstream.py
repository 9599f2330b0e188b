"""Stands in for the autostart daemon: answers every request with what came of it, and writes it down.

One line of JSON a request, in the file that is the only argument: method, target, version, headers, bytes of the body.
/redirect?ADDRESS redirects to the address; every answer may be kept, as far as it is asked.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ADDRESS = ("127.0.0.1", 8890)
LOG = Path(sys.argv[1])


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _body_size(self) -> int:
        """Read the body, and return its size in bytes."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            size = 0
            while chunk := int(self.rfile.readline().split(b";")[0], 16):
                size += len(self.rfile.read(chunk))
                self.rfile.readline()
            self.rfile.readline()
            return size
        left = int(self.headers.get("Content-Length", 0))
        size = left
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        return size

    def _echo(self) -> None:
        request = {
            "method": self.command,
            # As it came: `path` has no second slash at its beginning.
            "target": self.requestline.split()[1],
            "version": self.request_version,
            "headers": list(self.headers.items()),
            "body_bytes": self._body_size(),
        }
        line = json.dumps(request)
        with LOG.open("a") as log:
            log.write(line + "\n")
        redirect, _, address = self.path.partition("?")
        self.send_response(307 if redirect == "/redirect" else 200)
        if redirect == "/redirect":
            self.send_header("Location", address)
        if not redirect.startswith("/docs/assets/"):
            self.send_header("Cache-Control", "public, max-age=60")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(line)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(line.encode())

    def __getattr__(self, name: str) -> object:
        """Take every method for one to echo: the server looks for do_METHOD."""
        if name.startswith("do_"):
            return self._echo
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Nothing: LOG has it."""


if __name__ == "__main__":
    ThreadingHTTPServer(ADDRESS, Echo).serve_forever()
