"""The `docker-autostart` command."""

import argparse
import asyncio
import http.client
import json
import logging
import os
import socket
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker_autostart.systemd import JournalFormatter

CONFIGURATION_FILE = Path("/opt/docker-autostart/config.json")
RUN_DIRECTORY = Path("/run/docker-autostart")
STATE_DIRECTORY = Path("/var/lib/docker-autostart")

EX_CONFIG = 78
"""Configuration error (sysexits.h). The unit lists it in RestartPreventExitStatus."""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, 1 for a failed command, 2 for invalid arguments, 78 for an invalid configuration."""
    chosen = _parser().parse_args(arguments)
    match chosen.command:
        case "serve":
            return _serve(chosen.config, chosen.run_directory, chosen.state_directory)
        case "check-config":
            return _check(chosen.file)
        case "status":
            return _status(chosen.run_directory, as_json=chosen.json)
        case _:
            return _act(chosen.run_directory, chosen.command, chosen.service)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="docker-autostart", description=__doc__)
    parser.add_argument(
        "--run-directory",
        type=Path,
        default=Path(os.environ.get("RUNTIME_DIRECTORY", RUN_DIRECTORY)),
        help="where the daemon has its socket (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the daemon")
    serve.add_argument("--config", type=Path, default=CONFIGURATION_FILE, help="default: %(default)s")
    serve.add_argument(
        "--state-directory",
        type=Path,
        default=Path(os.environ.get("STATE_DIRECTORY", STATE_DIRECTORY)),
        help="where counters survive restarts (default: %(default)s)",
    )
    check = commands.add_parser("check-config", help="say what is wrong with a configuration file, by line and key")
    check.add_argument("file", type=Path, nargs="?", default=CONFIGURATION_FILE, help="default: %(default)s")
    status = commands.add_parser("status", help="print a table of the services")
    status.add_argument("--json", action="store_true", help="print JSON")
    for name, text in (
        ("start", "start a service and wait until it is ready"),
        ("stop", "stop a service when its requests and jobs have ended; requests have 600 s, stalled uploads 10 s"),
        ("hold", "do not stop a service for being idle"),
        ("release", "undo hold"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("service", help="its host name, or the name of one of its containers")
    return parser


def _serve(configuration_file: Path, run_directory: Path, state_directory: Path) -> int:
    # Imported here because the other commands do not need the daemon's libraries and start faster without them.
    with _no_certificate_authorities():
        import uvloop

        from docker_autostart.daemon import serve
        from docker_autostart.json_object import ConfigurationError

    handler = logging.StreamHandler()
    handler.setFormatter(JournalFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        uvloop.run(serve(configuration_file, run_directory, state_directory))
    except ConfigurationError as error:
        for problem in error.problems:
            logging.critical("%s: %s", configuration_file, problem)
        return EX_CONFIG
    except OSError as error:
        logging.critical("cannot serve: %s", error)
        return 1
    return 0


@contextmanager
def _no_certificate_authorities() -> Iterator[None]:
    """When imported, aiohttp loads all trusted CA certificates, which takes megabytes; the daemon does not use TLS."""
    given = dict(os.environ)
    os.environ |= {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    try:
        yield
    finally:
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            del os.environ[name]
        os.environ |= given


def _check(configuration_file: Path) -> int:
    from docker_autostart.compose import DockerCompose
    from docker_autostart.configuration import read_configuration
    from docker_autostart.json_object import ConfigurationError
    from docker_autostart.preflight import find_problems

    try:
        configuration = read_configuration(configuration_file)
        problems, _ = asyncio.run(find_problems(configuration, DockerCompose()))
    except ConfigurationError as error:
        problems = error.problems
    for problem in problems:
        print(f"{configuration_file}: {problem}", file=sys.stderr)
    return EX_CONFIG if problems else 0


def _status(run_directory: Path, *, as_json: bool) -> int:
    status, answer = _ask(run_directory, "GET", "/status")
    if status != 200:
        return _complain(answer)
    if as_json:
        print(json.dumps(answer, indent=2))
        return 0
    rows = [("SERVICE", "STATE", "CONTAINERS", "IN FLIGHT", "WAITING", "LAST USED", "STOPS")]
    rows += [
        (
            service["host"],
            service["state"],
            service["containers"],
            str(service["in_flight"]),
            str(service["held"]),
            _ago(service["last_used_seconds_ago"]),
            _stops(service),
        )
        for service in answer["services"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for service in answer["services"]:
        if service["failure"]:
            print(f"{service['host']}: {service['failure']}")
    return 0


def _act(run_directory: Path, command: str, service: str) -> int:
    status, answer = _ask(run_directory, "POST", f"/services/{urllib.parse.quote(service, safe='')}/{command}")
    if status != 200:
        return _complain(answer)
    held = ", held awake" if answer["held_awake"] else ""
    print(f"{answer['host']}: {answer['state']}{held}")
    return 0


def _ask(run_directory: Path, method: str, path: str) -> tuple[int, Any]:
    connection = _UnixConnection(run_directory / "admin.sock")
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except OSError as error:
        message = f"the daemon does not answer at {run_directory / 'admin.sock'}: {error.strerror or error}"
        return 0, {"error": {"message": f"{message}; is docker-autostart running?"}}
    finally:
        connection.close()


def _complain(answer: Any) -> int:
    print(answer["error"]["message"], file=sys.stderr)
    return 1


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def _ago(seconds: float | None) -> str:
    return "-" if seconds is None else f"{_duration(seconds)} ago"


def _stops(service: dict[str, Any]) -> str:
    if service["held_awake"]:
        return "held awake"
    return "-" if service["stops_in_seconds"] is None else f"in {_duration(service['stops_in_seconds'])}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
