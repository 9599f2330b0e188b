"""Turns a file into a transcript, in the same way for a direct response, a stream and a job."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

from whisper_server.speech import decoding
from whisper_server.speech.engine import Engine, Event, Reached
from whisper_server.speech.options import Options
from whisper_server.speech.times import in_order
from whisper_server.speech.transcript import Segment, Transcript, TranscriptionInfo


def transcribe(
    engine: Engine,
    path: Path,
    options: Options,
    max_seconds: float,
    reached: Reached,
    *,
    on_decoded: Callable[[float], None] = lambda _: None,
    on_event: Callable[[Event], None] = lambda _: None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Transcript:
    """The transcript of a file.

    `reached` receives the stages; an exception that it raises ends the work. `on_decoded` receives the recording's
    length in seconds, `on_event` each of the engine's events. `turn` is entered while the engine works, which decoding
    does not need. Raises what `decoding.decode` and `Engine.transcribe` raise.
    """
    start = time.monotonic()
    with decoding.decode(path, max_seconds, options.track, reached) as recording, turn():
        on_decoded(recording.seconds)
        info = TranscriptionInfo(options.language or "en")
        segments: list[Segment] = []
        with closing(engine.transcribe(recording, options, reached)) as events:
            for event in events:
                on_event(event)
                match event:
                    case TranscriptionInfo():
                        info = event
                    case Segment():
                        segments.append(event)
        return Transcript(
            task=options.task,
            model=options.model,
            # A translation is always into English.
            language="en" if options.task == "translate" else info.language,
            duration=recording.seconds,
            engine_seconds=time.monotonic() - start,
            segments=in_order(segments, recording.seconds),
            timing=info.timing,
            shortened=info.shortened,
        )
