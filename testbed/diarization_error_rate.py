"""The diarization error rate without a collar, by pyannote.metrics, which the image of WhisperX holds."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from testbed.in_the_image import in_the_image

_BY_PYANNOTE = """
import json, sys
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

def annotated(turns):
    annotation = Annotation()
    for number, (start, end, speaker) in enumerate(turns):
        annotation[Segment(start, end), number] = speaker
    return annotation

reference, hypothesis = (annotated(turns) for turns in json.load(sys.stdin))
print(DiarizationErrorRate(collar=0.0, skip_overlap=False)(reference, hypothesis))
"""


@dataclass(frozen=True)
class Turn:
    """From `start` to `end`, in seconds, somebody speaks."""

    start: float
    end: float
    speaker: str


def turns_of(rttm: Path) -> list[Turn]:
    """Turns in NIST's RTTM: type, file, channel, start, length, -, -, speaker."""
    fields = [line.split() for line in rttm.read_text().splitlines()]
    return [Turn(float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields if f[0] == "SPEAKER"]


def diarization_error_rate(reference: Sequence[Turn], hypothesis: Sequence[Turn]) -> float:
    """The rate, between 0 and 1 or more; overlapping speech counts. Raises subprocess.CalledProcessError."""
    return float(in_the_image(_BY_PYANNOTE, [[astuple(turn) for turn in turns] for turns in (reference, hypothesis)]))
