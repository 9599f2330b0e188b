"""What was said in a recording, by whom and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from whisper_server.speech.options import Task

# Where times come from: aligning text and audio, the decoder's attention, or the decoder's own timestamps.
Timing = Literal["aligned", "attention", "decoded"]

UNKNOWN_SPEAKER = "UNKNOWN"


@dataclass(frozen=True)
class Word:
    """One word; times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
    probability: float
    speaker: str | None = None


@dataclass(frozen=True)
class Segment:
    """One segment with the fields of OpenAI's `TranscriptionSegment`; times in seconds from the start.

    `speaker` is None without diarization, and UNKNOWN_SPEAKER where diarization found nobody.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: Sequence[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: Sequence[Word] = ()
    speaker: str | None = None


@dataclass(frozen=True)
class TranscriptionInfo:
    """What applies to all segments of a transcription.

    `language` is an ISO 639-1 code. `shortened` names the options that the model did not use in full: `prompt`,
    `hotwords`.
    """

    language: str
    timing: Timing = "decoded"
    shortened: Sequence[str] = ()


@dataclass(frozen=True)
class Transcript:
    """A finished transcription.

    `engine_seconds` is the time from decoding the audio to the last segment. Times increase, and lie within the
    recording. `shortened` as in TranscriptionInfo.
    """

    task: Task
    model: str
    language: str
    duration: float
    engine_seconds: float
    segments: Sequence[Segment] = field(default_factory=tuple)
    timing: Timing = "decoded"
    shortened: Sequence[str] = ()

    @property
    def text(self) -> str:
        """The text of all segments."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> list[Word]:
        """The words of all segments; empty without word timestamps."""
        return [word for segment in self.segments for word in segment.words]
