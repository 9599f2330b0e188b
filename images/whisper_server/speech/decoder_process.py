"""Files are decoded in processes of their own, one a file, which cannot do more than read that file.

FFmpeg is a million lines that read what strangers made. The kernel limits such a process, whatever FFmpeg does: it has
no descriptor to open a file, an address or a device with, a bound on its memory, and processor time in proportion to
the sound that came out. One that exceeds a limit ends, the server goes on.

Importing FFmpeg takes longer than decoding a short recording. So a fork server imports it once, and has a process ready
for the next file. The one of Python's multiprocessing takes 9 ms for each and needs a second process.
"""

import atexit
import gc
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

# Both sides import this module: the fork server imports FFmpeg in `serve`, the other side never.

# Private memory of a process, in bytes. The index of 12 hours of m4a takes 190 MB, that of pictures as much again.
MEMORY = 512 * 1024**2
# Seconds of processor time that any file may take, and more for every second of sound. The slowest codecs need a tenth
# of that on a slow processor.
_SECONDS = 20
_SECONDS_PER_SECOND = 0.2

# Processes at once: together they take no more than a usual limit of a container, 2 GiB, leaves beside a small model.
_AT_ONCE = 3

# How often the caller is asked whether the sound is still wanted, in seconds.
_ASK_SECONDS = 0.5
_MESSAGE_BYTES = 64 * 1024


class DecoderDied(Exception):
    """The process ended without an answer: it crashed, or took more than it may."""


class _ServerGone(Exception):
    """There is no fork server any more."""


class DecoderProcesses:
    """Starts a process for each task. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._control: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> socket.socket:
        """Starts the fork server unless it is there, for which the first task would wait; our end of its socket."""
        with self._lock:
            if self._control is not None:
                return self._control
            atexit.register(self.close)
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                folder = str(Path(__file__).parents[2])
                paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
                self._server = subprocess.Popen(  # noqa: S603 - this program
                    [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            return self._control

    def run(
        self, task: Mapping[str, Any], descriptors: list[int], reached: Callable[[float], None] = lambda _: None
    ) -> dict[str, Any]:
        """The outcome of a task, see `decoding_task`; the descriptors are handed to its process.

        `reached` is told the share that is done, at least twice a second; what it raises ends the process.
        Raises DecoderDied.
        """
        while not self._places.acquire(timeout=_ASK_SECONDS):
            reached(0.0)
        try:
            return self._run(task, descriptors, reached)
        except _ServerGone:
            # The kernel may have taken it when memory ran out.
            return self._run(task, descriptors, reached)
        finally:
            self._places.release()

    def _run(self, task: Mapping[str, Any], descriptors: list[int], reached: Callable[[float], None]) -> dict[str, Any]:
        control = self.start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Closing our end ends the process: it cannot report any more.
        with ours:
            with theirs:
                try:
                    socket.send_fds(control, [json.dumps(task).encode()], [theirs.fileno(), *descriptors])
                except OSError as error:
                    self._forget(control)
                    raise _ServerGone from error
            ours.settimeout(_ASK_SECONDS)
            share = 0.0
            while True:
                reached(share)
                try:
                    message = ours.recv(_MESSAGE_BYTES)
                except TimeoutError:
                    continue
                if not message:
                    raise self._died(control)
                answer: dict[str, Any] = json.loads(message)
                if "share" not in answer:
                    return answer
                share = min(1.0, max(0.0, float(answer["share"])))

    def _died(self, control: socket.socket) -> Exception:
        """Why there is no answer: the fork server is gone, which closed its end, or the process is."""
        try:
            control.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return DecoderDied()
        except OSError:
            pass  # another thread saw it first
        self._forget(control)
        return _ServerGone()

    def _forget(self, control: socket.socket) -> None:
        with self._lock:
            if self._control is control and self._server is not None:
                self._control = None
                control.close()
                self._server.kill()
                self._server.wait()

    def close(self) -> None:
        """Ends the fork server; processes that decode end by themselves."""
        if (control := self._control) is not None:
            self._forget(control)


PROCESSES = DecoderProcesses()


def serve(control: socket.socket) -> None:
    """Forks a process for each task, the next one as soon as one has its task, until the other side is closed."""
    from whisper_server.speech import decoding_task

    # Children that ended need nobody to wait for them; whoever asked sees that their socket is closed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # where /proc is hidden the kernel chooses by size, which is small
        # When memory runs out, this is what the kernel is to take first.
        Path("/proc/self/oom_score_adj").write_text("1000")
    decoding_task.warm_up()
    gc.freeze()
    while _fork_for_a_task(control, decoding_task.perform):
        pass


def _fork_for_a_task(control: socket.socket, perform: Callable[..., None]) -> bool:
    """Forks a process that performs the next task; returns when it has one, or died, and whether there may be more."""
    taken, take = os.pipe()
    if os.fork() == 0:
        os.close(taken)
        message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 8)
        with suppress(BrokenPipeError):  # the server was killed
            os.write(take, b"more" if message else b"end")
        if message:
            os.close(take)
            control.close()
            _be_confined()
            perform(json.loads(message), descriptors[1:], partial(_report, socket.socket(fileno=descriptors[0])))
        os._exit(0)
    os.close(take)
    told = os.read(taken, 4)
    os.close(taken)
    return told != b"end"


def _report(reply: socket.socket, answer: Mapping[str, Any]) -> None:
    """Sends an answer; whoever reached some seconds of sound gets processor time for more."""
    if "seconds" in answer:
        _allow_processor_time(_SECONDS + _SECONDS_PER_SECOND * answer["seconds"])
    try:
        reply.send(json.dumps(answer).encode()[:_MESSAGE_BYTES])
    except OSError:
        os._exit(1)  # nobody waits for it any more


def _be_confined() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_processor_time(_SECONDS)


def _allow_processor_time(seconds: float) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), hard))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as ours:
        serve(ours)
