"""Runs one inference at a time: requests in the order of arrival, from a bounded queue; jobs if no request waits."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# How often waiting work checks whether it is still wanted.
_ASK_SECONDS = 0.5


class QueueFull(Exception):
    """The queue is full; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InferenceQueue:
    """Runs blocking work in one worker thread. `run` must always be called from the same event loop."""

    def __init__(self, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._engine = threading.Lock()
        self._places = 1 + waiting
        self._taken = 0
        self._no_request = threading.Event()
        self._no_request.set()
        self._last_seconds = 1.0

    @property
    def requests(self) -> int:
        """Number of requests that run or wait."""
        return self._taken

    def refuse_if_full(self) -> None:
        """Raises QueueFull if `run` would raise it now."""
        if self._taken >= self._places:
            message = f"{self._taken} requests are running or waiting already. Try again later."
            # A place becomes free when the running work is done, which takes about as long as the previous one.
            raise QueueFull(message, retry_after=max(1, round(self._last_seconds)))

    async def run(self, work: Callable[[threading.Event], T]) -> T:
        """Returns or raises what `work(cancelled)` does. Raises QueueFull.

        When the caller is cancelled, waiting work never starts, and running work finds `cancelled` set; its place is
        freed when it returns, because until then the engine is busy.
        """
        self.refuse_if_full()
        loop = asyncio.get_running_loop()
        cancelled = threading.Event()

        def timed() -> T:
            with self._engine:
                start = time.monotonic()
                try:
                    return work(cancelled)
                finally:
                    self._last_seconds = time.monotonic() - start

        def leave(_: Future[T]) -> None:
            loop.call_soon_threadsafe(self._leave)

        future = self._executor.submit(timed)
        self._taken += 1
        self._no_request.clear()
        future.add_done_callback(leave)
        try:
            # Cancelling the result of wrap_future also cancels the future, if it has not started.
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def background(self, raise_if_unwanted: Callable[[], None]) -> "BackgroundTurn":
        """A turn at the engine for work to which all requests are preferred."""
        return BackgroundTurn(self._engine, self._no_request, raise_if_unwanted)

    def _leave(self) -> None:
        self._taken -= 1
        if self._taken == 0:
            self._no_request.set()

    def close(self) -> None:
        """Discards waiting work; running work was notified when its request was cancelled."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._no_request.set()


class BackgroundTurn:
    """A context in which a thread other than the event loop's has the engine while no request needs it.

    While it waits for the engine, it calls `raise_if_unwanted` twice a second; an exception ends the wait.
    """

    def __init__(
        self, engine: threading.Lock, no_request: threading.Event, raise_if_unwanted: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._no_request = no_request
        self._raise_if_unwanted = raise_if_unwanted
        self._held = False

    def __enter__(self) -> None:
        self._take()

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._release()

    def give_way(self) -> None:
        """Lets running and waiting requests go first; returns at once if there are none, or outside the context."""
        if self._held and not self._no_request.is_set():
            self._release()
            self._take()

    def _take(self) -> None:
        while not (self._no_request.wait(_ASK_SECONDS) and self._engine.acquire(timeout=_ASK_SECONDS)):
            self._raise_if_unwanted()
        self._held = True

    def _release(self) -> None:
        self._held = False
        self._engine.release()
