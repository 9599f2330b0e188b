import pytest

from whisper_server.engines.whisper import short_windows

SPEECH_BEGINS = 50364  # the token of 0 seconds


def times(*moments: float) -> list[int]:
    return [token for moment in moments for token in (440, SPEECH_BEGINS + round(moment * 50))]


@pytest.mark.parametrize(
    ("end", "log_probability", "compression_ratio", "expected"),
    [
        (6.5, -0.3, 1.5, True),
        (4.9, -0.3, 1.5, False),  # the end of the text is missing
        (8.2, -0.3, 1.5, False),  # text where nobody speaks
        (6.5, -0.8, 1.5, False),
        (6.5, -0.3, 2.5, False),
    ],
)
def test_what_is_decoded_again(end: float, log_probability: float, compression_ratio: float, expected: bool) -> None:
    tokens = [SPEECH_BEGINS, *times(end)]
    assert short_windows.plausible(tokens, log_probability, compression_ratio, 7.0, SPEECH_BEGINS) == expected
