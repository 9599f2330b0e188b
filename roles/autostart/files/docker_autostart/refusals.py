"""Errors for requests that a service does not admit."""

from docker_autostart.errors import Asleep, ServiceRemoved, StartTimeout, Stopping

RETRY_LATER = 5.0
"""Default of `Retry-After`, in seconds."""


def asleep(name: str) -> Asleep:
    return Asleep(f"{name} is asleep, and this kind of request does not wake it. Send a normal request to start it.")


def removed(name: str) -> ServiceRemoved:
    return ServiceRemoved(f"{name} is not served any more.", retry_after=RETRY_LATER)


def not_ready_within(name: str, seconds: float) -> StartTimeout:
    return StartTimeout(f"{name} was not ready within {seconds:g} s; the start goes on.", retry_after=RETRY_LATER)


def stop_takes_longer(name: str, seconds: float) -> Stopping:
    message = f"{name} is being stopped, which takes more than {seconds:g} s. Try again later."
    return Stopping(message, retry_after=RETRY_LATER)
