"""Decodes each file in a process of its own, which can do nothing but read that file.

FFmpeg is a million lines that parse untrusted files. Whatever it does, the kernel limits such a process: it cannot open
files, sockets or devices, its memory is bounded, and its CPU time is in proportion to the decoded audio. A process that
exceeds a limit is killed; the server goes on.

Importing FFmpeg takes longer than decoding a short recording, so a fork server imports it once, and keeps a process
ready for the next file. That of Python's multiprocessing takes 9 ms per process and needs a second process.
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

# Both sides import this module. The fork server imports FFmpeg in `serve`, the other side never does.

# Memory limit of a process, in bytes. The index of 12 hours of m4a takes 190 MB, that of its video as much again.
MEMORY = 512 * 1024**2
# CPU seconds for any file, and for each second of audio. The slowest codecs need a tenth of that on a slow CPU.
_SECONDS = 20
_SECONDS_PER_SECOND = 0.2

# Parallel processes: together they fit next to a small model into a container of 2 GiB.
_AT_ONCE = 3

# How often the caller is asked whether the result is still wanted, in seconds.
_ASK_SECONDS = 0.5
_MESSAGE_BYTES = 64 * 1024


class DecoderDied(Exception):
    """The process ended without a result: it crashed or exceeded a limit."""


class _ServerGone(Exception):
    """The fork server has ended."""


class DecoderProcesses:
    """Starts a process for each task. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._control: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> socket.socket:
        """Starts the fork server if necessary, so that the first task need not wait; returns our end of its socket."""
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
        """The outcome of a task, see `decoding_task`; the file descriptors are passed to its process.

        `reached` receives the completed share at least twice a second; an exception that it raises ends the process.
        Raises DecoderDied.
        """
        while not self._places.acquire(timeout=_ASK_SECONDS):
            reached(0.0)
        try:
            return self._run(task, descriptors, reached)
        except _ServerGone:
            # The kernel may have killed it when memory ran out.
            return self._run(task, descriptors, reached)
        finally:
            self._places.release()

    def _run(self, task: Mapping[str, Any], descriptors: list[int], reached: Callable[[float], None]) -> dict[str, Any]:
        control = self.start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Closing our end ends the process when it next reports.
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
        """Why there is no result: the fork server has ended, which closes its socket, or only the process has."""
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
        """Ends the fork server; decoding processes end on their own."""
        if (control := self._control) is not None:
            self._forget(control)


PROCESSES = DecoderProcesses()


def serve(control: socket.socket) -> None:
    """Forks a process for each task, in advance, until the other side closes the socket."""
    from whisper_server.speech import decoding_task

    # Nobody waits for child processes; the caller sees that their socket is closed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # without /proc the kernel chooses by size, which is small
        # When memory runs out, the kernel kills this process first.
        Path("/proc/self/oom_score_adj").write_text("1000")
    decoding_task.warm_up()
    gc.freeze()
    while _fork_for_a_task(control, decoding_task.perform):
        pass


def _fork_for_a_task(control: socket.socket, perform: Callable[..., None]) -> bool:
    """Forks a process for the next task. Returns when it has received one or died: whether there may be more."""
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
    """Sends a report; progress in the audio raises the limit of CPU time."""
    if "seconds" in answer:
        _allow_processor_time(_SECONDS + _SECONDS_PER_SECOND * answer["seconds"])
    try:
        reply.send(json.dumps(answer).encode()[:_MESSAGE_BYTES])
    except OSError:
        os._exit(1)  # nobody waits for the result


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
