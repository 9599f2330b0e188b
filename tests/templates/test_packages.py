"""What apt is told of packages that came in an archive."""

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.templates.conftest import Evaluate, Render

ARCHIVE: dict[str, Any] = {"__packages_archive": {"stat": {"checksum": "0123456789abcdef" * 4}}}
FOLDER = "/var/lib/whisper-services/packages/0123456789ab"


def lines(text: str, comment: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(comment)]


def test_the_folder_is_named_by_the_digest_of_the_archive(render: Render) -> None:
    text = render("packages", "sources.list.j2", **ARCHIVE)
    assert lines(text, "#") == [f"deb [trusted=yes] file:{FOLDER} ./"]


def test_apt_has_no_other_source(render: Render) -> None:
    text = render("packages", "apt.conf.j2", **ARCHIVE)
    assert lines(text, "//") == [
        'Dir::Etc::SourceList "/var/lib/whisper-services/packages/sources.list";',
        'Dir::Etc::SourceParts "/dev/null";',
    ]


def test_apt_notes_what_it_is_about_to_install(render: Render, tmp_path: Path) -> None:
    note = tmp_path / "note"
    text = render("packages", "noting.conf.j2", __packages_note=str(note))
    commands = re.findall(r'\{ "(.*)"; \};', text)
    told = """VERSION 3
Acquire::Languages=-

rsync - - none < 3.4.1 amd64 none /var/cache/apt/archives/rsync.deb
libpopt0 - - none < 1.19 amd64 same /var/cache/apt/archives/libpopt0.deb
libc6 2.40 amd64 same < 2.41 amd64 same /var/cache/apt/archives/libc6.deb
ftp 1 all foreign > - - none **REMOVE**
rsync - - none < 3.4.1 amd64 none **CONFIGURE**
"""
    for command in commands:
        subprocess.run(command, shell=True, check=True, input=told, text=True)  # noqa: S602 - as apt does
    assert note.read_text(encoding="utf-8") == "rsync\nlibpopt0\n"


def test_pip_asks_no_index_where_there_are_wheels(evaluate: Evaluate) -> None:
    assert evaluate("autostart", "__autostart_index") == []
    options = evaluate(
        "autostart", "__autostart_index", autostart_wheels_folder="/bundle/wheels", __autostart_build="/opt/build"
    )
    assert options == ["--no-index", "--find-links", "/opt/build/wheels"]


def test_the_archive_of_an_image_is_in_the_folder_that_has_one(evaluate: Evaluate) -> None:
    description = {"name": "a", "image": "a", "context": [{"src": "/images/a"}]}
    known: dict[str, Any] = {"__compose_service_tag": "0123"}
    made = evaluate("compose_service", "__compose_service_archive", compose_service_description=description, **known)
    assert made.endswith("/.cache/image-delivery/a-0123.tar.gz")
    description |= {"image_archives_folder": "/bundle/images"}
    given = evaluate("compose_service", "__compose_service_archive", compose_service_description=description, **known)
    assert given == "/bundle/images/a-0123.tar.gz"
