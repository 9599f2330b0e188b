"""Waits for library calls that cannot be cancelled, and checks in the meantime whether their result is needed."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_ASK_SECONDS = 0.5


class _Waiting(threading.local):
    ask: Callable[[], None] | None = None


class Interruptible:
    """Waits for calls that cannot be cancelled. Each waiting thread has its own `ask`."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        self._executor = ThreadPoolExecutor(thread_name_prefix="model")

    @contextmanager
    def asking(self, ask: Callable[[], None]) -> Iterator[None]:
        """Calls `ask` twice a second while this thread waits; an exception that it raises ends the wait."""
        self._waiting.ask = ask
        try:
            yield
        finally:
            self._waiting.ask = None

    def wait_for(self, work: Callable[[], T]) -> T:
        """Returns or raises what `work` does. If the wait ends early, `work` continues and its result is discarded."""
        if (ask := self._waiting.ask) is None:
            return work()
        future = self._executor.submit(work)
        while not wait([future], _ASK_SECONDS).done:
            ask()
        return future.result()


class InterruptibleModel:
    """CTranslate2's model, whose `generate` can be interrupted."""

    def __init__(self, model: Any, interruptible: Interruptible) -> None:
        self._model = model
        self._interruptible = interruptible

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, *arguments: Any, asynchronous: bool = False, **options: Any) -> Any:
        """As CTranslate2's, but the wait for the result can be interrupted."""
        if asynchronous:
            return self._model.generate(*arguments, asynchronous=True, **options)
        return self._interruptible.wait_for(lambda: self._model.generate(*arguments, **options))
