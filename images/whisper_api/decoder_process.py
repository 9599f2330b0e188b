"""Files are decoded in processes of their own, one a file, which cannot do more than read that file.

FFmpeg is a million lines that read what strangers made. The kernel limits such a process, whatever FFmpeg does: it has
no descriptor to open a file, an address or a device with, a bound on its memory, and processor time in proportion to
the sound that came out. One that exceeds a limit ends, the server goes on.

Importing FFmpeg takes longer than decoding a short recording. So a fork server imports it once and forks a process for
each file, in 2 ms. The one of Python's multiprocessing takes 9 ms and needs a second process.
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

# Private memory of a process, in bytes: FFmpeg's and Python's own is about 40 MB, the index of three hours of video 20.
MEMORY = 256 * 1024**2
# Seconds of processor time that any file may take, and more for every second of sound. The slowest codecs need a tenth
# of that on a slow processor.
_SECONDS = 20
_SECONDS_PER_SECOND = 0.2

# How often the caller is asked whether the sound is still wanted, in seconds.
_ASK_SECONDS = 0.5
_MESSAGE_BYTES = 64 * 1024


class DecoderDied(Exception):
    """The process ended without an answer: it crashed, or took more than it may."""


class DecoderProcesses:
    """Starts a process for each task. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server of processes, unless it is there; the first task would wait for it."""
        with self._lock:
            if self._control is not None:
                return
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                folder = str(Path(__file__).parents[1])
                paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
                self._server = subprocess.Popen(  # noqa: S603 - this program
                    [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )

    def run(
        self, task: Mapping[str, Any], descriptors: list[int], reached: Callable[[float], None] = lambda _: None
    ) -> dict[str, Any]:
        """The answer of `decoding_task` to a task; the descriptors are handed to it.

        `reached` is told the seconds of sound so far, at least twice a second; what it raises ends the process.
        Raises DecoderDied.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                self._send(json.dumps(task).encode(), [theirs.fileno(), *descriptors])
            ours.settimeout(_ASK_SECONDS)
            seconds = 0.0
            while True:
                # Closing our end ends the process: it cannot report any more.
                reached(seconds)
                try:
                    message = ours.recv(_MESSAGE_BYTES)
                except TimeoutError:
                    continue
                if not message:
                    self._refuse_without_server()
                    raise DecoderDied
                answer: dict[str, Any] = json.loads(message)
                if "reached" not in answer:
                    return answer
                seconds = float(answer["reached"])

    def _refuse_without_server(self) -> None:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError("the server of decoder processes ended; what it said is in the log")

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        self.start()
        control = self._control
        try:
            assert control is not None  # noqa: S101 - it was started
            socket.send_fds(control, [message], descriptors)
        except OSError:
            # The kernel may have taken it when memory ran out.
            self._forget(control)
            self.start()
            assert self._control is not None  # noqa: S101 - it was started
            socket.send_fds(self._control, [message], descriptors)

    def _forget(self, control: socket.socket | None) -> None:
        with self._lock:
            if control is not None and self._control is control:
                control.close()
                self._control = None
                if self._server is not None:
                    self._server.kill()
                    self._server.wait()

    def close(self) -> None:
        """Ends the server of processes; those that decode end by themselves."""
        self._forget(self._control)


PROCESSES = DecoderProcesses()
atexit.register(PROCESSES.close)


def serve(control: socket.socket) -> None:
    """Forks a process for each task, until the other side closes the socket."""
    from whisper_api import decoding_task

    # Children that ended need nobody to wait for them; whoever asked sees that their socket is closed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # where /proc is hidden the kernel chooses by size, which is small
        # When memory runs out, this is what the kernel is to take first.
        Path("/proc/self/oom_score_adj").write_text("1000")
    decoding_task.warm_up()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 8)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _be_confined()
            report = partial(_report, socket.socket(fileno=descriptors[0]))
            decoding_task.perform(json.loads(message), descriptors[1:], report)
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _report(reply: socket.socket, answer: Mapping[str, Any]) -> None:
    """Sends an answer; whoever reached some seconds of sound gets processor time for more."""
    if "reached" in answer:
        _allow_processor_time(_SECONDS + _SECONDS_PER_SECOND * answer["reached"])
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
