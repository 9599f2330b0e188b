"""Python that needs what only WhisperX' image holds."""

import json
import os
import subprocess
from typing import Any

IMAGE = os.environ.get("WHISPERX_IMAGE", "whisper-services/whisperx:test")


def in_the_image(script: str, given: object) -> Any:
    """What the script writes, as JSON, with `given` as JSON on its standard input.

    Raises subprocess.CalledProcessError.
    """
    command = ["docker", "run", "--rm", "--interactive", "--env", "PYTHONPATH=/app", IMAGE, "python", "-W", "ignore"]
    written = subprocess.run(
        [*command, "-c", script], input=json.dumps(given), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return json.loads(written)
