import numpy as np
import pytest

from whisper_server.engines.whisper import speech
from whisper_server.engines.whisper.speech import Window
from whisper_server.speech.options import VoiceActivity


def test_windows_without_looking_for_speech() -> None:
    samples = np.zeros(40 * 16_000, dtype=np.float32)
    assert speech.windows(samples, None) == [Window(0, 15), Window(15, 30), Window(30, 40)]


def test_no_windows_where_nobody_speaks() -> None:
    assert speech.windows(np.zeros(20 * 16_000, dtype=np.float32), VoiceActivity()) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(1, 4), (5, 9)], [(1, 9)]),
        # At the longest silence from the eighth second on, and not at the last that fits.
        ([(0, 5), (6, 9), (11, 13), (13.2, 20)], [(0, 9), (11, 20)]),
        ([(0, 14.9), (15, 29)], [(0, 14.9), (15, 29)]),
        # A part may be longer than a window where no silence was found in it.
        ([(0, 16), (17, 18)], [(0, 16), (17, 18)]),
    ],
)
def test_where_windows_end(parts: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    joined = speech._joined([Window(*part) for part in parts])
    assert [(window.start, window.end) for window in joined] == expected


def test_windows_are_padded_up_to_the_middle_of_the_silence() -> None:
    padded = speech._padded([Window(0.1, 5), Window(5.2, 9), Window(12, 14)], 0.4, 14.2)
    assert [(round(w.start, 2), round(w.end, 2)) for w in padded] == [(0, 5.1), (5.1, 9.4), (11.6, 14.2)]
