"""Events of the services: logged to the journal, and the last few hundred kept for the admin API."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

KEPT = 500

log = logging.getLogger("docker_autostart")


@dataclass(frozen=True)
class Event:
    """`time` is Unix time in seconds; `kind` one of the words that `Service` uses; `seconds` how long it took."""

    time: float
    host: str
    kind: str
    message: str
    seconds: float | None = None


Recorder = Callable[[str, str, str, float | None], None]
"""host, kind, message, seconds."""


class EventLog:
    """Logs each event, keeps the last ones, and passes each to the subscribers."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self.subscribers: list[Callable[[Event], None]] = []

    def record(self, host: str, kind: str, message: str, seconds: float | None = None) -> None:
        event = Event(time.time(), host, kind, message, seconds)
        self._events.append(event)
        level = logging.WARNING if kind in {"failed", "gone", "stop_failed"} else logging.INFO
        log.log(level, "%s: %s", host, message)
        for subscriber in self.subscribers:
            subscriber(event)

    def as_list(self) -> list[dict[str, object]]:
        """Oldest first."""
        return [asdict(event) for event in self._events]
