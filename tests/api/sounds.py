"""Sounds that nobody said anything in, made here: 16 kHz, mono, samples between -1 and 1."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

RATE = 16_000

Samples = NDArray[np.float64]

# Resonances of the vowel in "ha": frequency and width in hertz, loudness.
_FORMANTS = ((750, 90, 1.0), (1200, 110, 0.6), (2500, 170, 0.3), (3500, 250, 0.15))


def noise(seconds: float) -> Samples:
    return _scaled(np.random.default_rng(1).standard_normal(round(seconds * RATE)))


def applause(seconds: float) -> Samples:
    """Sixty claps a second: bursts of noise that die away within some milliseconds."""
    random = np.random.default_rng(2)
    samples = np.zeros(round(seconds * RATE))
    for start in random.integers(0, len(samples) - 600, round(seconds * 60)):
        length = int(random.integers(200, 600))
        clap = random.standard_normal(length) * np.exp(-5 * np.arange(length) / length)
        samples[start : start + length] += random.uniform(0.2, 1) * clap
    return _scaled(samples)


def music(seconds: float) -> Samples:
    """A chord of three notes, struck twice a second."""
    time = _time(seconds)
    return _scaled(np.exp(-4 * (time % 0.5)) * sum(np.sin(2 * np.pi * note * time) for note in (262, 330, 392)))


def laughter(seconds: float, pitch: float = 220) -> Samples:
    """Five times a second a voice of falling pitch, and a breath, through the resonances of an a; then a pause."""
    time = _time(seconds)
    random = np.random.default_rng(4)
    within, of_a_laugh = (time * 5) % 1, time % 1.6
    frequency = pitch * (1.25 - 0.25 * of_a_laugh / 1.6) * (1 - 0.15 * within)
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    voice = sum(np.cos(number * phase) / number for number in range(1, 20)) * np.sin(
        np.pi * np.minimum(within / 0.55, 1)
    )
    breath = 0.6 * random.standard_normal(len(time)) * np.sin(np.pi * np.clip(2 * within - 1, 0, 1))
    frequencies = np.fft.rfftfreq(len(time), 1 / RATE)
    resonance = sum(loud / (1 + ((frequencies - centre) / width) ** 2) for centre, width, loud in _FORMANTS)
    return _scaled(np.fft.irfft(np.fft.rfft(voice + breath) * resonance, len(time)) * (of_a_laugh < 1.25))


def wav(samples: Samples) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _time(seconds: float) -> Samples:
    return np.arange(round(seconds * RATE)) / RATE


def _scaled(samples: Samples) -> Samples:
    return np.asarray(0.5 * samples / np.abs(samples).max())
