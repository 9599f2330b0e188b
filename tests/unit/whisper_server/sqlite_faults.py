"""A connection to SQLite that tests let fail."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest


class FaultyConnection(sqlite3.Connection):
    """Tells `watch` each write and each commit before it is executed, and `executed` afterwards."""

    watch: Callable[[str], None] = staticmethod(lambda _: None)
    executed: Callable[[str, Sequence[Any]], None] = staticmethod(lambda *_: None)

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        verb = statement.split(maxsplit=1)[0]
        if statement.startswith("PRAGMA synchronous"):
            statement = "PRAGMA synchronous = OFF"  # no power failure is tested, and each write would take milliseconds
        if verb in ("INSERT", "UPDATE", "DELETE", "COMMIT"):
            self.watch(statement)
        cursor = super().execute(statement, parameters)
        self.executed(verb, parameters)
        return cursor


def connect_faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the connections that are opened from now on of this kind."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=FaultyConnection))


def full_database() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error
