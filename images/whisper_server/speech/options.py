"""How a recording is to be transcribed."""

from dataclasses import dataclass
from typing import Literal

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True)
class VoiceActivity:
    """Parameters of voice activity detection, which precedes transcription.

    `threshold` is the probability, from 0 to 1, above which a frame is speech. A speech segment is padded by
    `padding_ms` at both ends, and ends at a pause of `silence_ms`.
    """

    threshold: float = 0.5
    padding_ms: int = 400
    silence_ms: int = 2000


@dataclass(frozen=True)
class Speakers:
    """What is known of the number of speakers: the number itself, or its bounds."""

    number: int | None = None
    fewest: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Options:
    """How one recording is to be transcribed.

    `model` is a canonical id (see `Engine.resolve`), `language` an ISO 639-1 code or None to detect it. With a
    `temperature` of 0 the engine raises it where its own checks find the text implausible. `voice_activity` None
    transcribes everything. A `batch_size` above 1 decodes that many windows at once: faster, without the context of
    earlier text; None leaves it to the engine. `speakers` None does not diarize. `align` asks for the most exact times
    that the engine can find. `track` is the number of an audio track, from 1; None is the one that a player would play.
    """

    model: str
    task: Task = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    hotwords: str | None = None
    word_timestamps: bool = False
    voice_activity: VoiceActivity | None = VoiceActivity()
    batch_size: int | None = None
    speakers: Speakers | None = None
    align: bool = False
    track: int | None = None
