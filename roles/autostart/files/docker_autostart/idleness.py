"""When a service was last used, and when it is stopped for being idle."""


class IdleClock:
    """Times are loop times, in seconds. A pinned service has no deadline."""

    def __init__(self, last_used: float | None, *, pinned: bool) -> None:
        """`last_used` comes from the previous process of the daemon, None if it is unknown."""
        self.last_used = last_used
        self.pinned = pinned
        self._is_known = last_used is not None

    def used(self, now: float) -> None:
        self.last_used = now

    def found_running(self, now: float) -> None:
        """The containers were started by others: they count as used now, unless a previous process knew better."""
        if not self._is_known:
            self.last_used = now

    def started(self, now: float) -> None:
        self.found_running(now)
        self._is_known = False

    def forget_previous_process(self) -> None:
        """The containers no longer run, so what the previous process knew is obsolete."""
        self._is_known = False

    def deadline(self, idle_timeout: float, now: float, *, in_use: bool) -> float | None:
        """When the service is to be stopped, None for never; while it is in use the earliest possible time."""
        if not idle_timeout or self.pinned:
            return None
        if in_use or self.last_used is None:
            return now + idle_timeout
        return self.last_used + idle_timeout
