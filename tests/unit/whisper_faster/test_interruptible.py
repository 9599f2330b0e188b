"""Work of a library, and who is asked meanwhile."""

import threading
from collections.abc import Callable, Iterator

import pytest

from whisper_server.engines import interruptible
from whisper_server.engines.interruptible import Interruptible


class Unwanted(Exception):
    pass


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Interruptible:
    monkeypatch.setattr(interruptible, "_ASK_SECONDS", 0.01)
    return Interruptible()


@pytest.fixture
def go() -> Iterator[threading.Event]:
    go = threading.Event()
    yield go
    go.set()


def test_what_is_not_wanted_any_more_is_not_waited_for(waiting: Interruptible, go: threading.Event) -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Unwanted

    with waiting.asking(ask), pytest.raises(Unwanted):
        waiting.wait_for(lambda: go.wait(30))
    assert not go.is_set()
    assert waiting.wait_for(lambda: "next") == "next"


def test_what_is_wanted_is_waited_for(waiting: Interruptible, go: threading.Event) -> None:
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            go.set()

    with waiting.asking(ask):
        assert waiting.wait_for(lambda: go.wait(30))
        assert asked >= 3
        with pytest.raises(ZeroDivisionError):
            waiting.wait_for(lambda: 1 / 0)
        with pytest.raises(TimeoutError):
            waiting.wait_for(_raise(TimeoutError()))


def test_each_thread_is_asked_for_its_own_work(waiting: Interruptible, go: threading.Event) -> None:
    """A job lets a request go first that uses the same model."""
    others: list[bool] = []

    def ask() -> None:
        other = threading.Thread(target=lambda: others.append(waiting.wait_for(lambda: True)))
        other.start()
        other.join()
        go.set()

    with waiting.asking(ask):
        waiting.wait_for(lambda: go.wait(30))
    assert others
    assert all(others)


def _raise(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work
