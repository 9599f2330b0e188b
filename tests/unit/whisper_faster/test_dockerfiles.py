"""Both images have the whole package, whatever modules it consists of."""

from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[3] / "images"


@pytest.mark.parametrize("image", ["whisper_faster", "whisperx"])
def test_the_package_is_copied_whole(image: str) -> None:
    lines = (IMAGES / image / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "whisper_server" in line and line.startswith("COPY")] == [
        "COPY whisper_server whisper_server"
    ]
