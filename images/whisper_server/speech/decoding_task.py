"""The task of a decoding process and its reports, as JSON, which the other side does not trust."""

import importlib
import io
import os
import pkgutil
import traceback
import wave
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import av

from whisper_server.speech import ffmpeg
from whisper_server.speech.errors import SpeechError, UndecodableAudio

Answer = Mapping[str, Any]


def perform(task: Mapping[str, Any], descriptors: Sequence[int], report: Callable[[Answer], None]) -> None:
    """Checks a file, if there is one descriptor, or decodes it into the second; the last report is the outcome.

    Progress is reported as `{"seconds", "share"}` of audio and file; the outcome is `{}`, `{"error", "message",
    "param"}` with the name of a SpeechError, `{"errno"}` of a file that cannot be written, or `{"traceback"}`.
    """
    try:
        if len(descriptors) == 1:
            ffmpeg.check(descriptors[0], task["max_seconds"], task["track"])
        else:
            source, target = descriptors
            ffmpeg.decode(
                source,
                target,
                task["max_seconds"],
                task["track"],
                lambda seconds, share: report({"seconds": seconds, "share": share}),
            )
        outcome: Answer = {}
    except SpeechError as error:
        outcome = _as_answer(error)
    except MemoryError:
        outcome = _as_answer(
            UndecodableAudio("The file needs too much memory to decode. Convert it to mp3, wav or flac.")
        )
    except OSError as error:
        outcome = {"errno": error.errno}
    except Exception:
        outcome = {"traceback": traceback.format_exc()[-8000:]}
    report(outcome)


def _as_answer(error: SpeechError) -> Answer:
    return {"error": type(error).__name__, "message": str(error), "param": getattr(error, "param", None)}


def warm_up() -> None:
    """Imports and initializes all that decoding needs: a confined process cannot open a module's file."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((16, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    for content in (sound.getvalue(), b"no recording"):
        source, target = os.memfd_create("source"), os.memfd_create("target")
        os.write(source, content)
        for descriptors in ([source], [source, target]):
            perform({"max_seconds": 1e9, "track": None}, descriptors, lambda _: None)
        os.close(source)
        os.close(target)
