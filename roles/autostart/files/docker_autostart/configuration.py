"""config.json: its format, its defaults, and its problems, by line and key."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker_autostart import checks
from docker_autostart.json_object import ConfigurationError, JsonObject, Problem, load, pointer

PORT = 8890
IDLE_TIMEOUT = 1800
START_TIMEOUT = 30

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


@dataclass(frozen=True)
class ServiceSettings:
    """One service. Times are in seconds; without a `compose_file` Compose finds the file itself."""

    host: str
    name: str
    compose_dir: Path
    compose_file: Path | None
    containers: tuple[str, ...]
    proxy_port: int
    blocking: bool
    theme: str
    idle_timeout: float
    start_timeout: float
    ready_path: str
    ready_status: int | None
    busy_path: str | None
    metrics_path: str | None
    memory_mb: int
    no_wake_paths: frozenset[str]
    no_wake_methods: frozenset[str]
    no_wake_user_agents: tuple[str, ...]

    def same_stack(self, other: "ServiceSettings") -> bool:
        """Whether both mean the same containers, so that one can take the other's place while they run."""
        return (self.compose_dir, self.compose_file, self.containers) == (
            other.compose_dir,
            other.compose_file,
            other.containers,
        )


@dataclass(frozen=True)
class Configuration:
    port: int
    memory_budget_mb: int | None
    services: Mapping[str, ServiceSettings]
    lines: Mapping[str, int] = field(compare=False, repr=False)

    def problem(self, host: str, key: str, message: str) -> Problem:
        """A problem with `key` of the service `host` that only a check of the machine finds (`preflight`)."""
        line = self.lines.get(pointer("services", host, key), self.lines.get(pointer("services", host), 1))
        return Problem(line, f"services.{host}.{key}", message)


def normalize_host(host: str) -> str:
    """A Host header's name as services are keyed by: lower case, without port and trailing dot."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.lower().rstrip(".")


def read_configuration(path: Path) -> Configuration:
    """Raises `ConfigurationError`, also for an unreadable file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem(1, "", f"{path} cannot be read: {error}")]) from error
    return parse_configuration(text)


def parse_configuration(text: str) -> Configuration:
    """Raises `ConfigurationError` with every problem of the document, not only the first."""
    document, lines, problems = load(text)
    root = JsonObject(document, (), lines, problems)
    port = root.take("port", checks.port, PORT)
    budget = root.take("memoryBudgetMb", checks.positive_integer, None)
    defaults = {
        "idleTimeout": root.take("idleTimeout", checks.idle_timeout, IDLE_TIMEOUT),
        "startTimeout": root.take("startTimeout", checks.start_timeout, START_TIMEOUT),
        "noWakePaths": root.take("noWakePaths", checks.list_of(checks.path), ()),
        "noWakeMethods": root.take("noWakeMethods", checks.list_of(checks.method), ()),
        "noWakeUserAgents": root.take("noWakeUserAgents", checks.list_of(checks.text), ()),
    }
    members = root.objects("services")
    root.refuse_unknown()
    entries = [(_service(normalize_host(written), member, defaults), member) for written, member in members.items()]
    _refuse_shared(entries, "", lambda service: (service.host,))
    _refuse_shared(entries, "proxyPort", lambda service: (service.proxy_port,))
    _refuse_shared(entries, "containers", lambda service: service.containers)
    for service, member in entries:
        if service.proxy_port == port:
            member.complain("proxyPort", f"is the port that docker-autostart itself listens on, {port}")
        if budget is not None and service.memory_mb > budget:
            member.complain("memoryMb", f"{service.memory_mb} can never fit into memoryBudgetMb, {budget}")
        lines.setdefault(pointer("services", service.host), member.line(""))
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line))
    return Configuration(port, budget, {service.host: service for service, _ in entries}, lines)


def _service(host: str, stack: JsonObject, defaults: dict[str, Any]) -> ServiceSettings:
    if not _HOST.fullmatch(host):
        stack.complain("", "is not a host name")
    mode = stack.take("mode", checks.one_of("blocking", "async"), None)
    asynchronous = stack.take("async", checks.boolean, None)
    blocking = stack.take("blocking", checks.boolean, None)
    said = (blocking, mode and mode == "blocking", None if asynchronous is None else not asynchronous)
    opinions = {opinion for opinion in said if opinion is not None}
    if len(opinions) > 1:
        stack.complain("blocking", "contradicts mode or async: keep one of the three")
    compose_dir = stack.take("composeDir", checks.absolute_path, Path("/"), required=True)
    compose_file = stack.take("composeFile", checks.text, None)
    settings = ServiceSettings(
        host=host,
        name=stack.take("name", checks.text, host),
        compose_dir=compose_dir,
        compose_file=None if compose_file is None else compose_dir / compose_file,
        containers=stack.take("containers", checks.list_of(checks.container, at_least_one=True), (), required=True),
        proxy_port=stack.take("proxyPort", checks.port, 0, required=True),
        blocking=opinions.pop() if len(opinions) == 1 else True,
        theme=stack.take("theme", checks.text, "auto"),
        idle_timeout=stack.take("idleTimeout", checks.idle_timeout, defaults["idleTimeout"]),
        start_timeout=stack.take("startTimeout", checks.start_timeout, defaults["startTimeout"]),
        ready_path=stack.take("readyPath", checks.path, "/health"),
        ready_status=stack.take("readyStatus", checks.status, None),
        busy_path=stack.take("busyPath", checks.path, None),
        metrics_path=stack.take("metricsPath", checks.path, None),
        memory_mb=stack.take("memoryMb", checks.positive_integer, 0),
        no_wake_paths=frozenset(stack.take("noWakePaths", checks.list_of(checks.path), defaults["noWakePaths"])),
        no_wake_methods=frozenset(
            stack.take("noWakeMethods", checks.list_of(checks.method), defaults["noWakeMethods"])
        ),
        no_wake_user_agents=stack.take("noWakeUserAgents", checks.list_of(checks.text), defaults["noWakeUserAgents"]),
    )
    stack.refuse_unknown()
    return settings


def _refuse_shared(
    entries: list[tuple[ServiceSettings, JsonObject]], key: str, values: Callable[[ServiceSettings], tuple[object, ...]]
) -> None:
    owners: dict[object, str] = {}
    for service, member in entries:
        for value in filter(None, values(service)):
            if value in owners:
                member.complain(key, f"{value} belongs to {owners[value]} already")
            owners.setdefault(value, service.host)
