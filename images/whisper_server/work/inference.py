"""From a file to a finished transcript, the same way for an answer at once, a stream and a job."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

from whisper_server.speech import audio
from whisper_server.speech.engine import Engine, Options, Reached, Segment, Transcript, Transcription
from whisper_server.speech.times import in_order


def transcribe(
    engine: Engine,
    path: Path,
    options: Options,
    max_seconds: float,
    reached: Reached,
    heard: Callable[[Segment], None] = lambda _: None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
    begun: Callable[[Transcription, float], object] = lambda *_: None,
) -> Transcript:
    """The transcript of a file.

    `reached` is told the stages; what it raises ends the work. `heard` is told each segment. `turn` is entered while
    the engine works, which decoding does not need. `begun` is told the transcription when it is under way, and the
    recording's length in seconds. Raises what `audio.decode` and `Engine.transcribe` raise.
    """
    start = time.monotonic()
    with audio.decode(path, max_seconds, options.track, reached) as recording, turn():
        transcription = engine.transcribe(recording, options, reached)
        begun(transcription, recording.seconds)
        segments: list[Segment] = []
        with closing(transcription.segments):
            for segment in transcription.segments:
                heard(segment)
                segments.append(segment)
        return Transcript(
            task=options.task,
            model=options.model,
            # A translation is always into English.
            language="en" if options.task == "translate" else transcription.language,
            duration=recording.seconds,
            engine_seconds=time.monotonic() - start,
            segments=in_order(segments, recording.seconds),
            timing=transcription.timing,
            shortened=transcription.shortened,
        )
