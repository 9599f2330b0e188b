"""Every code block of the user guides, run as a reader would: with the variables that the guide introduces, in a folder
with the recordings that it names. `make test-guide` sets the environment from .demo/env."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guide.blocks import Block, blocks_of_guides

SPEECH = Path(__file__).parents[2] / ".cache/speech"
SECONDS = 300

# What the guides call their recordings, which these are, and words that must be heard in them.
RECORDINGS = {
    "interview.wav": ("librivox/sense_and_sensibility_01_austen_64kb-0870.wav", "leisure"),
    "meeting.wav": ("pyannote/sample.wav", "New Jersey"),
    "entretien.wav": ("audioeval/fr/bonjour_monde.wav", "bonjour"),
    "reunion.wav": ("pyannote/sample.wav", "New Jersey"),
}
SPEAKER = r"SPEAKER_\d\d"

INTERPRETERS = {"bash": ["bash", "-euo", "pipefail"], "python": [sys.executable]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (recording, _) in RECORDINGS.items():
        shutil.copy(SPEECH / recording, tmp_path / name)
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """What a reader has who did what the guides say first, and nothing else."""
    names = ("WHISPER_URL", "WHISPERX_URL", "API_KEY", "BASIC_USER", "BASIC_PASSWORD")
    told = {name: os.environ[name] for name in names}
    authority = dict.fromkeys(("CURL_CA_BUNDLE", "SSL_CERT_FILE"), os.environ["CA_FILE"])
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **told, **authority}


@pytest.mark.parametrize("block", [block for block in blocks_of_guides() if block.is_run], ids=str)
def test_a_block_does_what_the_guide_says(block: Block, folder: Path, environment: dict[str, str]) -> None:
    script = folder / "block"
    script.write_text(block.code, encoding="utf-8")
    done = subprocess.run(
        [*INTERPRETERS[block.language], script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    # What a block writes to a file is what it is about, too.
    written = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.srt"))
    shown = done.stdout + written
    assert shown.strip()
    assert not re.search(r'"error": ?\{', shown)
    for name in RECORDINGS.keys() & set(re.findall(r"[\w-]+\.wav", block.code)):
        assert re.search(RECORDINGS[name][1], shown, re.IGNORECASE), shown
    if "diarize" in block.code:
        assert len(set(re.findall(SPEAKER, shown))) > 1, shown
