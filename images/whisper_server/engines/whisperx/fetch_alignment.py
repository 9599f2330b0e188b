"""Downloads the alignment model of a language: `python -m whisper_server.engines.whisperx.fetch_alignment fr`.

Deployments run this, so that no request waits for a download. Exits with 1, and a message on standard error, if the
model is not available.
"""

import sys

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisperx.alignment import Alignment
from whisper_server.engines.whisperx.settings import WhisperXSettings


def main(language: str) -> int:
    """Downloads and loads the model; returns the exit status."""
    settings = WhisperXSettings(align_models={language: ""}, ttl=-1)
    with Alignment(settings, Residency(settings.ttl)).model(language) as model:
        if model is None:
            print(f"There is no alignment model for {language} that can be had.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
