"""Decodes any file that FFmpeg's libraries understand into a Recording, in a process of its own."""

import errno
import logging
from pathlib import Path
from typing import Any

from whisper_server.speech.decoder_process import PROCESSES, DecoderDied
from whisper_server.speech.engine import Reached
from whisper_server.speech.errors import (
    AudioTooLong,
    NoSpace,
    NotAudio,
    SpeechError,
    UndecodableAudio,
    UnsupportedOption,
)
from whisper_server.speech.recording import Recording

_logger = logging.getLogger("whisper_server")

_DECODER_DIED = (
    "The audio cannot be decoded: its decoder failed, or took more time than any recording needs. Convert the file to "
    "mp3, wav or flac."
)


def check(path: Path, max_seconds: float, track: int | None = None) -> None:
    """Raises what `decode` would raise, as far as the start of the file shows."""
    with path.open("rb") as source:
        _in_a_process([source.fileno()], max_seconds, track)


def decode(path: Path, max_seconds: float, track: int | None = None, reached: Reached = lambda *_: None) -> Recording:
    """The audio of a file, at the times that a player shows; it may be 0 seconds long.

    `track` is the number of an audio track, from 1; None is the one that a player would play, or the next one where
    that cannot be decoded or is silent. `reached` receives the share of the file that was read at least twice a
    second; an exception that it raises ends the work. The share restarts with another track.

    Raises NotAudio for unknown formats and files without audio, UndecodableAudio for damaged files and those that end
    before the length in their header, AudioTooLong, UnsupportedOption, NoSpace.
    """
    recording = Recording()
    try:
        with path.open("rb") as source:
            _in_a_process([source.fileno(), recording.descriptor], max_seconds, track, reached)
    except BaseException:
        recording.close()
        raise
    return recording


def _in_a_process(
    descriptors: list[int], max_seconds: float, track: int | None, reached: Reached = lambda *_: None
) -> None:
    try:
        answer = PROCESSES.run(
            {"max_seconds": max_seconds, "track": track}, descriptors, lambda share: reached("decoding", share)
        )
    except DecoderDied as error:
        raise UndecodableAudio(_DECODER_DIED) from error
    if "error" in answer:
        raise _error_of(answer)
    if answer.get("errno") in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise NoSpace("The server has no disk space left for this recording. Try again later.", param="file")
    if answer:
        _logger.error("a file cannot be decoded: %s", answer.get("traceback", answer))
        raise UndecodableAudio(_DECODER_DIED)


def _error_of(answer: dict[str, Any]) -> SpeechError:
    if answer["error"] == UnsupportedOption.__name__:
        return UnsupportedOption(answer["param"], answer["message"])
    kinds = {kind.__name__: kind for kind in (NotAudio, AudioTooLong)}
    return kinds.get(answer["error"], UndecodableAudio)(answer["message"])
