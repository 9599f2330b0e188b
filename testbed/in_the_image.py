"""Python that needs what only WhisperX' image holds."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

IMAGE = os.environ.get("WHISPERX_IMAGE", "whisper-services/whisperx:test")


MODELS = Path(__file__).parents[1] / ".cache/models"
MODELS_IN_THE_IMAGE = "/cache/huggingface"


def in_the_image(script: str, given: object) -> Any:
    """What the last line says that the script writes, as JSON, with `given` as JSON on its standard input.

    Raises subprocess.CalledProcessError.
    """
    command = ["docker", "run", "--rm", "--interactive", "--volume", f"{MODELS.resolve()}:{MODELS_IN_THE_IMAGE}:ro"]
    command += ["--env", f"PYTHONPATH=/app:{MODELS_IN_THE_IMAGE}/diarization", "--env", "HF_HUB_OFFLINE=1"]
    command += [IMAGE, "python", "-W", "ignore", "-c", script]
    written = subprocess.run(command, input=json.dumps(given), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(written.splitlines()[-1])
