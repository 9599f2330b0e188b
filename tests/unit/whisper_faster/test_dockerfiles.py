"""The Dockerfiles name the modules of this package, for what else lies in its folder is not for the images."""

from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[3] / "images"


@pytest.mark.parametrize(("image", "folder"), [("whisper_faster", ""), ("whisperx", "whisper_faster/")])
def test_every_module_is_copied(image: str, folder: str) -> None:
    words = (IMAGES / image / "Dockerfile").read_text(encoding="utf-8").split()
    others = {"__init__", "server", "strip_debug"}
    modules = {path.stem for path in (IMAGES / "whisper_faster").glob("*.py")} - others
    assert {name for name in modules if f"{folder}{name}.py" not in words} == set()
