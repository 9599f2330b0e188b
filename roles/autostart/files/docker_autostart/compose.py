"""Runs `docker compose`, without a shell."""

import asyncio
import json
import logging
import os
import signal
from typing import Protocol

from docker_autostart.configuration import ServiceSettings

COMMAND_TIMEOUT = 120.0
STOP_GRACE = 30

log = logging.getLogger("docker_autostart")


class ComposeError(Exception):
    """The command failed. Its output is in the journal; the message is the last line."""


class Compose(Protocol):
    async def up(self, service: ServiceSettings) -> None:
        """Raises `ComposeError`."""

    async def stop(self, service: ServiceSettings) -> None:
        """Raises `ComposeError`."""


class DockerCompose:
    async def up(self, service: ServiceSettings) -> None:
        await self._run(service, "up", "--detach", "--no-build", "--no-recreate")

    async def stop(self, service: ServiceSettings) -> None:
        await self._run(service, "stop", "--timeout", str(STOP_GRACE))

    async def container_names(self, service: ServiceSettings) -> set[str]:
        """The container names in the Compose file, as resolved by Compose. Raises `ComposeError`."""
        project = json.loads(await self._run(service, "config", "--format", "json", quiet=True))
        return {
            described.get("container_name", f"{project['name']}-{name}-1")
            for name, described in project["services"].items()
        }

    async def _run(self, service: ServiceSettings, *arguments: str, quiet: bool = False) -> str:
        """Return standard output. Both outputs are logged; with `quiet` only those of a failed command."""
        file = [] if service.compose_file is None else ["--file", str(service.compose_file)]
        argv = ["docker", "compose", "--ansi", "never", *file, *arguments]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=service.compose_dir,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ComposeError(f"{' '.join(argv[:2])} in {service.compose_dir}: {error.strerror}") from error
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                output, complaints = (text.decode(errors="replace") for text in await process.communicate())
        except TimeoutError:
            raise ComposeError(f"docker compose {arguments[0]} did not end within {COMMAND_TIMEOUT:g} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        lines = [line.strip() for line in (complaints if quiet else output + complaints).splitlines() if line.strip()]
        if process.returncode != 0 or not quiet:
            for line in lines:
                log.info("%s: compose %s: %s", service.host, arguments[0], line)
        if process.returncode != 0:
            last = lines[-1] if lines else "no output"
            raise ComposeError(f"docker compose {arguments[0]} ended with {process.returncode}: {last}")
        return output
