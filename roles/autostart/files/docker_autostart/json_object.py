"""Parses a JSON document and reports all problems with line and key."""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from json_source_map import handle, types  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Problem:
    """One problem of a configuration; `line` counts from 1, `key` is a dotted path from the root of the document."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.message}" if self.key else f"line {self.line}: {self.message}"


class ConfigurationError(Exception):
    """The configuration cannot be applied; `problems` has all reasons."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def load(text: str) -> tuple[Any, dict[str, int], list[Problem]]:
    """The document, the line of each of its JSON pointers, and a problem for each duplicate key.

    Raises `ConfigurationError` for invalid JSON.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigurationError([Problem(error.lineno, "", f"not JSON: {error.msg}, column {error.colno}")]) from error
    except RecursionError as error:
        raise ConfigurationError([Problem(1, "", "not JSON: nested too deeply")]) from error
    except ValueError as error:
        raise ConfigurationError([Problem(1, "", f"not JSON: {error}")]) from error
    return document, *_positions(text)


class JsonObject:
    """A JSON object whose keys are taken one by one, each with a check; remaining keys are unknown."""

    def __init__(self, value: object, path: tuple[str, ...], lines: dict[str, int], problems: list[Problem]) -> None:
        self._path = path
        self._lines = lines
        self._problems = problems
        self._known: list[str] = []
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.complain("", f"must be an object, not {_json_name(value)}")

    def take(self, key: str, check: Callable[[Any], Any], default: Any, *, required: bool = False) -> Any:
        """The checked value of `key`, or `default` if it is absent or invalid; problems are recorded."""
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

    def objects(self, key: str) -> dict[str, "JsonObject"]:
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
            name: JsonObject(member, (*self._path, key, name), self._lines, self._problems)
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
        own = self._lines.get(pointer(*self._path), 1)
        return self._lines.get(pointer(*self._path, key), own) if key else own


def _positions(text: str) -> tuple[dict[str, int], list[Problem]]:
    """The line of every JSON pointer (RFC 6901), and a problem for every duplicate key."""
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for pointer, entry in handle.value(source=text, current_location=types.Location(0, 0, 0)):
        start = entry.key_start or entry.value_start
        if pointer in lines:
            key = ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
            problems.append(Problem(start.line + 1, key, f"stands on line {lines[pointer]} already"))
        lines.setdefault(pointer, start.line + 1)
    return lines, problems


def pointer(*path: str) -> str:
    """The JSON pointer (RFC 6901) of a path of keys."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _json_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
