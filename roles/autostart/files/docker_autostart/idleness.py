"""When a service was last used, and from when on it is idle for too long."""


class IdleClock:
    """Times are loop times, in seconds. A pinned service is never idle for too long."""

    def __init__(self, last_used: float | None, *, pinned: bool) -> None:
        """`last_used` is what a previous process of the daemon knew, None where it knew nothing."""
        self.last_used = last_used
        self.pinned = pinned
        self._is_known = last_used is not None

    def used(self, now: float) -> None:
        self.last_used = now

    def found_running(self, now: float) -> None:
        """The containers run without having been started here: they count as used now, unless more is known."""
        if not self._is_known:
            self.last_used = now

    def started(self, now: float) -> None:
        self.found_running(now)
        self._is_known = False

    def forget_previous_process(self) -> None:
        """The containers do not run any more: what a previous process knew of them is no longer of use."""
        self._is_known = False

    def deadline(self, idle_timeout: float, now: float, *, in_use: bool) -> float | None:
        """When the service is to be stopped, None for never; while it is in use the earliest possible time."""
        if not idle_timeout or self.pinned:
            return None
        if in_use or self.last_used is None:
            return now + idle_timeout
        return self.last_used + idle_timeout
