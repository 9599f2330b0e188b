"""The last failed start of a service, and when the next one may begin."""

from collections import deque

from docker_autostart.errors import EngineUnavailable, StartFailed

LONGEST_PAUSE = 60.0
BREAKER_FAILURES = 5
BREAKER_WINDOW = 600.0
BREAKER_PAUSE = 60.0


class StartBackoff:
    """Pauses of 1, 2, 4 … 60 s after failed starts, of 60 s after five failures within ten minutes.

    Times are loop times, in seconds.
    """

    def __init__(self) -> None:
        self.failure: StartFailed | None = None
        """That of the last start; None if it succeeded."""
        self.retry_at = 0.0
        self._failures: deque[float] = deque()
        self._failures_in_a_row = 0

    def remaining(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 if it is."""
        return max(0.0, self.retry_at - now)

    def failed(self, failure: StartFailed, now: float) -> float:
        """Count a failed start; returns the pause after it, in seconds."""
        self.failure = failure
        self._failures_in_a_row += 1
        self._failures.append(now)
        while self._failures[0] < now - BREAKER_WINDOW:
            self._failures.popleft()
        pause = min(LONGEST_PAUSE, 2.0 ** (self._failures_in_a_row - 1))
        if len(self._failures) >= BREAKER_FAILURES:
            pause = BREAKER_PAUSE
        self.retry_at = now + pause
        return pause

    def succeeded(self) -> None:
        self.failure = None
        self._failures_in_a_row = 0

    def skip_pause(self) -> None:
        self.retry_at = 0.0

    def engine_returned(self) -> None:
        """Forget failures that were caused by the Engine's absence."""
        if isinstance(self.failure, EngineUnavailable):
            self._failures.clear()
            self._failures_in_a_row = 0
            self.retry_at = 0.0


def retry_in(failure: StartFailed, seconds: float) -> StartFailed:
    """The same failure for another request, with the time until the next attempt."""
    return type(failure)(failure.message, retry_after=seconds)
