"""Checks of a configuration against this machine: folders, Compose files and container names."""

import asyncio
import os

from docker_autostart.compose import ComposeError, DockerCompose
from docker_autostart.configuration import Configuration, ServiceSettings
from docker_autostart.json_object import Problem


async def find_problems(
    configuration: Configuration, compose: DockerCompose
) -> tuple[list[Problem], dict[str, set[str]]]:
    """Return the problems, and by host the container names in each Compose file that could be read."""
    hosts = list(configuration.services)
    found = await asyncio.gather(*(_check(configuration, configuration.services[host], compose) for host in hosts))
    problems = [problem for problem, _ in found if problem is not None]
    return problems, {host: names for host, (_, names) in zip(hosts, found, strict=True) if names is not None}


async def _check(
    configuration: Configuration, service: ServiceSettings, compose: DockerCompose
) -> tuple[Problem | None, set[str] | None]:
    if not os.path.isdir(service.compose_dir):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        return configuration.problem(service.host, "composeDir", f"{service.compose_dir} is not a folder"), None
    if service.compose_file is not None and not os.path.isfile(service.compose_file):  # noqa: PTH113 - as above
        return configuration.problem(service.host, "composeFile", f"{service.compose_file} is not a file"), None
    try:
        names = await compose.container_names(service)
    except ComposeError as error:
        return configuration.problem(service.host, "composeDir", str(error)), None
    missing = [name for name in service.containers if name not in names]
    if missing:
        known = ", ".join(sorted(names)) or "none"
        message = f"the compose file has no container {', '.join(missing)}; it has {known}"
        return configuration.problem(service.host, "containers", message), names
    return None, names
