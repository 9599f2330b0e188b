"""Values that the configuration may have. Each check returns the value, or raises ValueError with what it must be."""

import re
from collections.abc import Callable
from pathlib import Path

LONGEST_START_TIMEOUT = 600

_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_METHOD = re.compile(r"[A-Z]+")


def _integer(value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"must be {what}")
    return value


def port(value: object) -> int:
    return _integer(value, 1, 65535, "a port from 1 to 65535")


def status(value: object) -> int:
    return _integer(value, 200, 499, "an HTTP status from 200 to 499")


def positive_integer(value: object) -> int:
    return _integer(value, 1, 1 << 30, "a whole number above 0")


def _seconds(value: object, least: float, most: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"must be {what}")
    return float(value)


def idle_timeout(value: object) -> float:
    return _seconds(value, 0, 10**9, "a number of seconds, 0 (never stopped) or more")


def start_timeout(value: object) -> float:
    return _seconds(value, 1, LONGEST_START_TIMEOUT, f"a number of seconds from 1 to {LONGEST_START_TIMEOUT}")


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a string with something in it, and no control characters")
    return value


def path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or not value.isascii() or not value.isprintable():
        raise ValueError('must be a path that starts with "/"')
    return value


def method(value: object) -> str:
    if not isinstance(value, str) or not _METHOD.fullmatch(value):
        raise ValueError("must be an HTTP method in upper case")
    return value


def container(value: object) -> str:
    if not isinstance(value, str) or not _CONTAINER.fullmatch(value):
        raise ValueError("must be the name of a container")
    return value


def absolute_path(value: object) -> Path:
    if not isinstance(value, str) or not Path(value).is_absolute():
        raise ValueError('must be an absolute path, like "/opt/whisper-faster"')
    return Path(value)


def one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return value

    return check


def list_of(check: Callable[[object], str], *, at_least_one: bool = False) -> Callable[[object], tuple[str, ...]]:
    def check_list(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or (at_least_one and not value):
            raise ValueError("must be a list" + (" with at least one member" if at_least_one else ""))
        return tuple(check(member) for member in value)

    return check_list
