"""Writes the tables of settings in the servers' READMEs from the settings classes: `make docs`."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[1] / "images"

# The settings class of each server, as MODULE:CLASS.
SETTINGS = {
    "whisper_faster": "whisper_server.process.settings:Settings",
    "whisperx": "whisper_server.engines.whisperx.settings:WhisperXSettings",
}

_HEAD = "| variable | default | meaning |\n|---|---|---|\n"


def path_of(server: str) -> Path:
    """Return the path of a server's README."""
    return IMAGES / server / "README.md"


def readme(server: str) -> str:
    """Return what the README of a server has to be: what it is, with the present table.

    Raises:
        ValueError: there is no table of settings in it.
    """
    text = path_of(server).read_text(encoding="utf-8")
    written, found = re.subn(re.escape(_HEAD) + r"(\|.*\n)*", lambda _: _HEAD + "".join(_rows(SETTINGS[server])), text)
    if found != 1:
        raise ValueError(f"{path_of(server)} has {found} tables that begin with {_HEAD!r}, not one")
    return written


def _rows(settings: str) -> list[str]:
    sys.path.insert(0, str(IMAGES))
    module, _, name = settings.partition(":")
    rows = []
    for field, info in getattr(importlib.import_module(module), name).model_fields.items():
        description = " ".join((info.description or "").split()).replace("|", "\\|")
        rows.append(f"| `WHISPER__{field.upper()}` | {_shown(info.get_default())} | {description} |\n")
    return rows


def _shown(default: Any) -> str:
    """A default as it is written in the environment."""
    if isinstance(default, (list, dict)):
        default = ",".join(default)
    return f"`{default}`" if default != "" else ""


def main() -> None:
    """Write every README whose table is not right, and say which."""
    for server in SETTINGS:
        text = readme(server)
        if path_of(server).read_text(encoding="utf-8") != text:
            path_of(server).write_text(text, encoding="utf-8")
            print(f"written: images/{server}/README.md")


if __name__ == "__main__":
    main()
