import numpy as np
import pytest
from faster_whisper import vad

from whisper_server.engines.residency import Residency
from whisper_server.engines.whisper import voice_activity
from whisper_server.engines.whisper.voice_activity import MODEL, SpeechDetector, Window
from whisper_server.speech.options import VoiceActivity


def test_windows_without_looking_for_speech() -> None:
    samples = np.zeros(40 * 16_000, dtype=np.float32)
    assert SpeechDetector(Residency(-1)).windows(samples, None) == [Window(0, 15), Window(15, 30), Window(30, 40)]


def test_no_windows_where_nobody_speaks() -> None:
    detector = SpeechDetector(Residency(-1))
    samples = np.zeros(20 * 16_000, dtype=np.float32)
    assert detector.windows(samples, VoiceActivity()) == []
    assert detector.detect(samples, VoiceActivity()) is None


def test_its_model_is_in_memory_like_others_and_the_library_stays_as_it_is() -> None:
    own = vad.get_vad_model
    residency = Residency(-1)
    detector = SpeechDetector(residency)
    detector.load()
    assert residency.names() == (MODEL,)
    assert vad.get_vad_model is own
    residency.unload_unused()
    assert residency.names() == ()


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
    joined = voice_activity._joined([Window(*part) for part in parts])
    assert [(window.start, window.end) for window in joined] == expected


def test_windows_are_padded_up_to_the_middle_of_the_silence() -> None:
    padded = voice_activity._padded([Window(0.1, 5), Window(5.2, 9), Window(12, 14)], 0.4, 14.2)
    assert [(round(w.start, 2), round(w.end, 2)) for w in padded] == [(0, 5.1), (5.1, 9.4), (11.6, 14.2)]
