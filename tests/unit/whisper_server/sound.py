"""Recordings that tests make themselves."""

import io
import wave


def wav(samples: bytes) -> bytes:
    """A WAV file of 16 bit samples, mono, 16 kHz."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples)
    return target.getvalue()


def silence(seconds: float) -> bytes:
    """A WAV file with nothing in it but its length."""
    return wav(bytes(2 * round(seconds * 16_000)))


# Two seconds, as long as the two segments of the scripted engine.
AUDIO = silence(2)
FILE = {"file": ("speech.wav", AUDIO)}
