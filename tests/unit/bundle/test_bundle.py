"""The archive of `make bundle`: used whole and where it belongs, or refused."""

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parents[3] / "roles/bundle/files/bundle.py"
CONTENT = {
    "packages.tar": b"packages" * 1000,
    "models/models--a--b/refs/main": b"0123",
    "images/a-1.tar": b"layers" * 3000,
}
# Names by which a file would be written beside the archive, where `refusal` looks: it is unpacked two folders deeper.
OUTSIDE = ["../../out-of-it", "models/../../../out-of-it", "{folder}/out-of-it"]


def bundle(command: str, *paths: Path, distribution: str = "debian 13") -> subprocess.CompletedProcess[str]:
    options = ["--distribution", distribution, "--architecture", "x86_64"]
    return subprocess.run(
        [sys.executable, str(BUNDLE), command, *map(str, paths), *options], capture_output=True, text=True, check=False
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for name, content in CONTENT.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "out").mkdir()
    archive = tmp_path / "out/bundle.tar"
    assert bundle("pack", tmp_path / "folder", archive).returncode == 0
    return archive


def opened(archive: Path) -> Path:
    done = bundle("open", archive)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def refusal(archive: Path, distribution: str = "debian 13") -> str:
    """The one line that it was refused with; nothing was unpacked."""
    before = sorted(archive.parent.iterdir())
    done = bundle("open", archive, distribution=distribution)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert sorted(archive.parent.iterdir()) == before
    return done.stderr


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewritten(archive: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Give every member another content, or with None take it out."""
    with tarfile.open(archive) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar]
        contents = [(name, file.read() if file else b"") for name, file in members]
    with tarfile.open(archive, "w") as tar:
        for name, content in contents:
            changed = change(name, content)
            if changed is not None:
                member = tarfile.TarInfo(name)
                member.size = len(changed)
                tar.addfile(member, BytesIO(changed))


def manifest_with(name: str, content: bytes) -> bytes:
    """Name one more file in a manifest, an empty one."""
    manifest = json.loads(content)
    manifest["files"][name] = hashlib.sha256().hexdigest()
    return json.dumps(manifest).encode()


def test_what_is_opened_is_what_was_packed(archive: Path) -> None:
    assert content_of(opened(archive)) == CONTENT


def test_a_second_deployment_unpacks_nothing(archive: Path) -> None:
    first = opened(archive).stat()
    assert opened(archive).stat() == first


def test_what_was_damaged_since_it_was_unpacked_is_unpacked_again(archive: Path) -> None:
    folder = opened(archive)
    (folder / "packages.tar").write_bytes(b"half")
    (folder / "images/a-1.tar").unlink()
    assert content_of(opened(archive)) == CONTENT


def test_links_become_what_they_lead_to(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "folder/blob").write_bytes(b"weights")
    (tmp_path / "folder/model.bin").symlink_to("blob")
    assert bundle("pack", tmp_path / "folder", archive).returncode == 0
    folder = opened(archive)
    assert not (folder / "model.bin").is_symlink()
    assert (folder / "model.bin").read_bytes() == b"weights"


def test_one_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist. Build it with `make bundle`" in refusal(tmp_path / "bundle.tar")


def test_one_for_another_distribution(archive: Path) -> None:
    assert "is for debian 13 on x86_64, the host is ubuntu 24 on x86_64" in refusal(archive, "ubuntu 24")


def test_a_changed_byte(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[content.index(b"layerslayers") + 100] ^= 1
    archive.write_bytes(content)
    assert "damaged or incomplete (images/a-1.tar missing or changed)" in refusal(archive)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_one_that_was_copied_in_part(archive: Path, share: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    assert "damaged or incomplete" in refusal(archive)


def test_a_file_that_is_missing(archive: Path) -> None:
    rewritten(archive, lambda name, content: None if name.startswith("models/") else content)
    assert "models/models--a--b/refs/main missing" in refusal(archive)


@pytest.mark.parametrize("name", ["more.tar", *OUTSIDE])
def test_a_file_that_nobody_packed(archive: Path, name: str) -> None:
    name = name.format(folder=archive.parent)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(tarfile.TarInfo(name))
    assert f"{name} does not belong to it" in refusal(archive)


@pytest.mark.parametrize("name", OUTSIDE)
def test_one_that_was_packed_to_write_elsewhere(archive: Path, name: str) -> None:
    name = name.format(folder=archive.parent)
    rewritten(archive, lambda member, content: manifest_with(name, content) if member == "manifest.json" else content)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(tarfile.TarInfo(name))
    assert f"{name} points outside of it" in refusal(archive)


def test_another_archive(archive: Path) -> None:
    rewritten(archive, lambda name, content: None if name == "manifest.json" else content)
    assert "is not a bundle" in refusal(archive)


def test_no_archive_at_all(archive: Path) -> None:
    archive.write_bytes(b"PK\3\4 something else " * 100)
    assert "damaged or incomplete" in refusal(archive)


def test_one_of_another_format(archive: Path) -> None:
    def newer(name: str, content: bytes) -> bytes:
        return json.dumps(json.loads(content) | {"format": 2}).encode() if name == "manifest.json" else content

    rewritten(archive, newer)
    assert "has format 2, this version reads 1" in refusal(archive)
