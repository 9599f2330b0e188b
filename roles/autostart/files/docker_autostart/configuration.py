"""config.json: its format, its defaults, and what is wrong with it, by line and key."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from json_source_map import handle, types  # type: ignore[import-untyped]

PORT = 8890
IDLE_TIMEOUT = 1800
START_TIMEOUT = 30
LONGEST_START_TIMEOUT = 600

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_METHOD = re.compile(r"[A-Z]+")


@dataclass(frozen=True)
class Problem:
    """One fault of a configuration; `line` counts from 1, `key` is dotted from the root of the document."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.message}" if self.key else f"line {self.line}: {self.message}"


class ConfigurationError(Exception):
    """The file cannot be applied. `problems` is everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class ServiceSettings:
    """One service. Times are in seconds, `compose_file` is None where Compose is to find the file itself."""

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
        """A fault of `key` of the service `host` that only shows against the machine (`preflight`)."""
        pointer = _pointer("services", host, key)
        line = self.lines.get(pointer, self.lines.get(_pointer("services", host), 1))
        return Problem(line, f"services.{host}.{key}", message)


def normalize_host(host: str) -> str:
    """A Host header's name as services are keyed by: lower case, without port and trailing dot."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.lower().rstrip(".")


def read_configuration(path: Path) -> Configuration:
    """Raises `ConfigurationError` also for a file that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem(1, "", f"{path} cannot be read: {error}")]) from error
    return parse_configuration(text)


def parse_configuration(text: str) -> Configuration:
    """Raises `ConfigurationError` with every problem of the document, not only the first."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigurationError([Problem(error.lineno, "", f"not JSON: {error.msg}, column {error.colno}")]) from error
    except RecursionError as error:
        raise ConfigurationError([Problem(1, "", "not JSON: nested too deeply")]) from error
    except ValueError as error:
        raise ConfigurationError([Problem(1, "", f"not JSON: {error}")]) from error
    lines, problems = _positions(text)
    root = _Object(document, (), lines, problems)
    port = root.take("port", _port, PORT)
    budget = root.take("memoryBudgetMb", _positive_integer, None)
    defaults = {
        "idleTimeout": root.take("idleTimeout", _idle_timeout, IDLE_TIMEOUT),
        "startTimeout": root.take("startTimeout", _start_timeout, START_TIMEOUT),
        "noWakePaths": root.take("noWakePaths", _list_of(_path), ()),
        "noWakeMethods": root.take("noWakeMethods", _list_of(_method), ()),
        "noWakeUserAgents": root.take("noWakeUserAgents", _list_of(_text), ()),
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
        lines.setdefault(_pointer("services", service.host), member.line(""))
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line))
    return Configuration(port, budget, {service.host: service for service, _ in entries}, lines)


def _service(host: str, stack: "_Object", defaults: dict[str, Any]) -> ServiceSettings:
    if not _HOST.fullmatch(host):
        stack.complain("", "is not a host name")
    mode = stack.take("mode", _one_of("blocking", "async"), None)
    asynchronous = stack.take("async", _boolean, None)
    blocking = stack.take("blocking", _boolean, None)
    said = (blocking, mode and mode == "blocking", None if asynchronous is None else not asynchronous)
    opinions = {opinion for opinion in said if opinion is not None}
    if len(opinions) > 1:
        stack.complain("blocking", "contradicts mode or async: keep one of the three")
    compose_dir = stack.take("composeDir", _absolute_path, Path("/"), required=True)
    compose_file = stack.take("composeFile", _text, None)
    settings = ServiceSettings(
        host=host,
        name=stack.take("name", _text, host),
        compose_dir=compose_dir,
        compose_file=None if compose_file is None else compose_dir / compose_file,
        containers=stack.take("containers", _list_of(_container, at_least_one=True), (), required=True),
        proxy_port=stack.take("proxyPort", _port, 0, required=True),
        blocking=opinions.pop() if len(opinions) == 1 else True,
        theme=stack.take("theme", _text, "auto"),
        idle_timeout=stack.take("idleTimeout", _idle_timeout, defaults["idleTimeout"]),
        start_timeout=stack.take("startTimeout", _start_timeout, defaults["startTimeout"]),
        ready_path=stack.take("readyPath", _path, "/health"),
        ready_status=stack.take("readyStatus", _status, None),
        busy_path=stack.take("busyPath", _path, None),
        memory_mb=stack.take("memoryMb", _positive_integer, 0),
        no_wake_paths=frozenset(stack.take("noWakePaths", _list_of(_path), defaults["noWakePaths"])),
        no_wake_methods=frozenset(stack.take("noWakeMethods", _list_of(_method), defaults["noWakeMethods"])),
        no_wake_user_agents=stack.take("noWakeUserAgents", _list_of(_text), defaults["noWakeUserAgents"]),
    )
    stack.refuse_unknown()
    return settings


def _refuse_shared(
    entries: "list[tuple[ServiceSettings, _Object]]", key: str, values: Callable[[ServiceSettings], tuple[object, ...]]
) -> None:
    owners: dict[object, str] = {}
    for service, member in entries:
        for value in filter(None, values(service)):
            if value in owners:
                member.complain(key, f"{value} belongs to {owners[value]} already")
            owners.setdefault(value, service.host)


class _Object:
    """A JSON object whose keys are taken one by one, each with its check; what is left over is unknown."""

    def __init__(self, value: object, path: tuple[str, ...], lines: dict[str, int], problems: list[Problem]) -> None:
        self._path = path
        self._lines = lines
        self._problems = problems
        self._known: list[str] = []
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.complain("", f"must be an object, not {_json_name(value)}")

    def take(self, key: str, check: Callable[[Any], Any], default: Any, *, required: bool = False) -> Any:
        """The checked value of `key`, or `default` where it is absent or wrong; what is wrong is noted."""
        self._known.append(key)
        if key not in self._values:
            if required:
                self.complain("", f'"{key}" is missing')
            return default
        try:
            return check(self._values[key])
        except ValueError as error:
            self.complain(key, f"{error}; got {json.dumps(self._values[key])[:80]}")
            return default

    def objects(self, key: str) -> dict[str, "_Object"]:
        """The members of the object `key`, each an object."""
        self._known.append(key)
        if key not in self._values:
            self.complain("", f'"{key}" is missing')
            return {}
        members = self._values[key]
        if not isinstance(members, dict):
            self.complain(key, f"must be an object, not {_json_name(members)}")
            return {}
        return {
            name: _Object(member, (*self._path, key, name), self._lines, self._problems)
            for name, member in members.items()
        }

    def refuse_unknown(self) -> None:
        for key in self._values:
            if key not in self._known:
                close = difflib.get_close_matches(key, self._known, 1)
                hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(self._known)}"
                self.complain(key, f"unknown key; {hint}")

    def complain(self, key: str, message: str) -> None:
        path = (*self._path, key) if key else self._path
        self._problems.append(Problem(self.line(key), ".".join(path), message))

    def line(self, key: str) -> int:
        own = self._lines.get(_pointer(*self._path), 1)
        return self._lines.get(_pointer(*self._path, key), own) if key else own


def _positions(text: str) -> tuple[dict[str, int], list[Problem]]:
    """The line of every JSON pointer (RFC 6901), and a problem for every key that stands twice in its object."""
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for pointer, entry in handle.value(source=text, current_location=types.Location(0, 0, 0)):
        start = entry.key_start or entry.value_start
        if pointer in lines:
            key = ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
            problems.append(Problem(start.line + 1, key, f"stands on line {lines[pointer]} already"))
        lines.setdefault(pointer, start.line + 1)
    return lines, problems


def _pointer(*path: str) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _json_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _integer(value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"must be {what}")
    return value


def _port(value: object) -> int:
    return _integer(value, 1, 65535, "a port from 1 to 65535")


def _status(value: object) -> int:
    return _integer(value, 200, 499, "an HTTP status from 200 to 499")


def _positive_integer(value: object) -> int:
    return _integer(value, 1, 1 << 30, "a whole number above 0")


def _seconds(value: object, least: float, most: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"must be {what}")
    return float(value)


def _idle_timeout(value: object) -> float:
    return _seconds(value, 0, 10**9, "a number of seconds, 0 (never stopped) or more")


def _start_timeout(value: object) -> float:
    return _seconds(value, 1, LONGEST_START_TIMEOUT, f"a number of seconds from 1 to {LONGEST_START_TIMEOUT}")


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a string with something in it, and no control characters")
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or not value.isascii() or not value.isprintable():
        raise ValueError('must be a path that starts with "/"')
    return value


def _method(value: object) -> str:
    if not isinstance(value, str) or not _METHOD.fullmatch(value):
        raise ValueError("must be an HTTP method in upper case")
    return value


def _container(value: object) -> str:
    if not isinstance(value, str) or not _CONTAINER.fullmatch(value):
        raise ValueError("must be the name of a container")
    return value


def _absolute_path(value: object) -> Path:
    if not isinstance(value, str) or not Path(value).is_absolute():
        raise ValueError('must be an absolute path, like "/opt/whisper-faster"')
    return Path(value)


def _one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return value

    return check


def _list_of(check: Callable[[object], str], *, at_least_one: bool = False) -> Callable[[object], tuple[str, ...]]:
    def check_list(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or (at_least_one and not value):
            raise ValueError("must be a list" + (" with at least one member" if at_least_one else ""))
        return tuple(check(member) for member in value)

    return check_list
