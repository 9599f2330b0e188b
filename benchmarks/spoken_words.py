"""Speech of espeak-ng, which knows when it says each word.

Source: espeak-ng's `speak_lib.h`. The library is Debian's libespeak-ng1.
"""

import ctypes
import io
import wave
from dataclasses import dataclass

_SYNCHRONOUS = 2
_UTF8 = 1
_BY_CHARACTER = 1
_WORD = 1
_END_OF_LIST = 0


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


@dataclass(frozen=True)
class SpokenWord:
    """A word and when it begins, in seconds."""

    word: str
    start: float


def spoken(text: str, voice: str) -> tuple[bytes, list[SpokenWord]]:
    """A WAV file of the text, in ASCII, and the words in it. Raises RuntimeError where espeak-ng is not installed."""
    try:
        library = ctypes.CDLL("libespeak-ng.so.1")
    except OSError as error:
        raise RuntimeError("espeak-ng is not installed. apt-get install espeak-ng, then try again.") from error
    samples = bytearray()
    words: list[SpokenWord] = []
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
    if rate <= 0 or library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise RuntimeError(f"espeak-ng cannot be used, or has no voice {voice}.")

    def take(sound: int | None, count: int, events: ctypes.Array[_Event]) -> int:
        if sound:
            samples.extend(ctypes.string_at(sound, 2 * count))
        number = 0
        while events[number].type != _END_OF_LIST:
            event = events[number]
            if event.type == _WORD:
                first = event.text_position - 1
                words.append(SpokenWord(text[first : first + event.length], event.sample / rate))
            number += 1
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))(take)
    library.espeak_SetSynthCallback(callback)
    library.espeak_Synth(text.encode(), len(text) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None)
    library.espeak_Terminate()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(samples))
    return file.getvalue(), words
