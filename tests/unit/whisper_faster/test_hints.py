import re

import pytest

from whisper_server.engines.whisper import hints


@pytest.mark.parametrize(
    ("said", "given", "expected"),
    [
        ("The board of directors, with Mr. Dashwood.", "Meeting of the board of directors with Mr Dashwood", True),
        ("Willoughby. Willoughby. Willoughby.", "Norland, Barton Cottage, Willoughby", True),
        ("こんにちは世界", "世界。こんにちは、世界!", True),
        (". . . .", "Norland", True),
        ("OK", "ok.", True),
        ("He was not an ill-disposed young man.", "Meeting of the board of directors with Mr Dashwood", False),
        ("I met Mr. Dashwood in the street yesterday.", "Mr. Dashwood", False),
        ("OK", "Dashwood", False),
    ],
)
def test_copies(said: str, given: str, expected: bool) -> None:
    assert hints.are_copied(said, given) == expected
    assert hints.are_copied(said.upper(), re.sub(r"\s", "  ", given)) == expected
