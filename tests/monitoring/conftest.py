"""Prometheus' programs: those that are installed, or those of the distribution's packages, unpacked into .cache."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.templates.conftest import _collections, evaluate, loader, render, roles

__all__ = ["_collections", "evaluate", "loader", "render", "roles"]
"""Fixtures."""

CACHE = Path(__file__).parents[2] / ".cache/prometheus"
PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
}

Program = Callable[[str], str]


def find_program(name: str) -> str:
    """Path of a program. Raises CalledProcessError if its package cannot be downloaded."""
    installed = shutil.which(name)
    if installed:
        return installed
    package = PACKAGES[name]
    unpacked = CACHE / package / "usr/bin" / name
    if not unpacked.exists():
        folder = CACHE / f"{package}.{os.getpid()}"
        folder.mkdir(parents=True)
        # As root apt would fetch as another user, who cannot write there.
        subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=", package], cwd=folder, check=True)
        (archive,) = folder.glob("*.deb")
        subprocess.run(["dpkg", "--extract", archive, folder], check=True)
        archive.unlink()
        shutil.rmtree(CACHE / package, ignore_errors=True)
        folder.rename(CACHE / package)
    return str(unpacked)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def command_of(dropin: str, replaced: Mapping[str, str]) -> list[str]:
    """The command line of a rendered drop-in, with the program's path here, and paths and ports for a test."""
    line = dropin.replace("\\\n", " ").rpartition("\nExecStart=")[2].split("\n", 1)[0]
    for there, here in replaced.items():
        assert there in line, there
        line = line.replace(there, here)
    name, *options = line.split()
    return [find_program(Path(name).name), *options]


@contextmanager
def process(*command: str) -> Iterator[None]:
    """A program that runs as long as the block. What it wrote is shown if it ends by itself."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        try:
            yield
        finally:
            ended = started.poll()
            started.terminate()
            written, _ = started.communicate(timeout=20)
            if ended is not None:
                print(f"{command[0]} ended with {ended}: {written}")


@pytest.fixture(scope="session")
def program() -> Program:
    """Returns the path of a program by its name."""
    return find_program
