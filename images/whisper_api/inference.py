"""From a file to a finished transcript, the same way for an answer at once, a stream and a job."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from whisper_api import audio
from whisper_api.engine import Engine, Options, Segment, Transcript, Transcription
from whisper_api.times import in_order

Pace = Callable[[Iterator[Segment]], Iterator[Segment]]


def transcribe(
    engine: Engine,
    path: Path,
    options: Options,
    max_seconds: float,
    go_on: Callable[[], None],
    heard: Callable[[Segment, float], None] = lambda *_: None,
    pace: Pace = iter,
    begun: Callable[[Transcription], object] = lambda _: None,
) -> Transcript:
    """The transcript of a file.

    `go_on` is called between the steps of the work; what it raises ends it. `heard` is told each segment and the
    recording's length in seconds. `pace` hands the segments on, and may make them wait. `begun` is told the
    transcription when it is under way. Raises what `audio.decode` and `Engine.transcribe` raise.
    """
    start = time.monotonic()
    with audio.decode(path, max_seconds, options.track, go_on) as recording:
        transcription = engine.transcribe(recording, options)
        transcription.go_on = go_on
        begun(transcription)
        segments: list[Segment] = []
        with closing(transcription.segments):
            for segment in pace(transcription.segments):
                go_on()
                heard(segment, recording.seconds)
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
