"""Times rise and end with the recording, whatever an engine says."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.whisper_server.scripted_engine import ScriptedEngine, segment
from tests.unit.whisper_server.sound import AUDIO
from whisper_server.http.formats import render
from whisper_server.speech.times import apart, in_order
from whisper_server.speech.transcript import Segment, Transcript, Word

URL = "/v1/audio/transcriptions"


def timed(*spans: tuple[float, float], speaker: str | None = None) -> list[Segment]:
    return [replace(segment(0, " a"), start=start, end=end, speaker=speaker) for start, end in spans]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(0, 2), (1.5, 3)], [(0, 1.5), (1.5, 3)]),
        # An end behind the recording's.
        ([(0, 2), (2, 31)], [(0, 2), (2, 9.958)]),
        ([(11, 12)], [(9.958, 9.958)]),
        # Two that begin together, and one that begins before the one in front of it.
        ([(1, 3), (1, 2)], [(1, 2), (2, 3)]),
        ([(2, 4), (1, 3)], [(2, 3), (3, 4)]),
        # Less than a millisecond.
        ([(0, 1.0004), (1.0002, 2)], [(0, 1.0), (1.0, 2)]),
        ([(-0.1, 1), (1.2, 1.1)], [(0, 1), (1.2, 1.2)]),
        ([], []),
    ],
)
def test_spans(given: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    assert apart(given, 9.958) == expected
    assert [(s.start, s.end) for s in in_order(timed(*given), 9.9589)] == expected


moments = st.floats(-1, 20, allow_nan=False)
said = st.tuples(moments, moments, st.sampled_from([None, "A", "B"]), st.lists(st.tuples(moments, moments), max_size=3))


@given(st.lists(said, max_size=6))
def test_any_times(given: list[tuple[float, float, str | None, list[tuple[float, float]]]]) -> None:
    segments = [
        replace(*timed((start, end), speaker=speaker), words=[Word(*span, " a", 1) for span in words])
        for start, end, speaker, words in given
    ]
    found = in_order(segments, 12.3456)
    words = [word for part in found for word in part.words]
    for shown in ([(part.start, part.end) for part in found], [(word.start, word.end) for word in words]):
        assert all(0 <= start <= end <= 12.345 for start, end in shown)
        assert shown == sorted(shown, key=lambda span: span[0])
    assert all(before.end <= after.start for before, after in pairwise(words))
    transcript = Transcript("transcribe", "m", "en", 12.3456, 0, found)
    for cues in (render(transcript, "srt", ()), render(transcript, "vtt", ())):
        assert isinstance(cues, str)
        clocks = [moment for line in cues.splitlines() if "-->" in line for moment in line.split(" --> ")]
        assert clocks == sorted(clocks)
        assert all(clock[:8] <= "00:00:12" for clock in clocks)


def test_speakers_may_talk_at_once_but_cues_follow_one_another() -> None:
    first, second = timed((0, 5), speaker="A")[0], timed((3, 4), speaker="B")[0]
    found = in_order([first, second], 6)
    assert [(s.start, s.end) for s in found] == [(0, 5), (3, 4)]
    cues = render(Transcript("transcribe", "m", "en", 6, 0, found), "srt", ())
    assert isinstance(cues, str)
    assert [line for line in cues.splitlines() if "-->" in line] == [
        "00:00:00,000 --> 00:00:03,000",
        "00:00:03,000 --> 00:00:04,000",
    ]


def test_every_format_has_the_times_in_order(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.segments = [
        segment(0, " Good morning.", [Word(0.0, 0.4, " Good", 0.9), Word(0.3, 1.2, " morning.", 0.8)]),
        segment(1, " Fine day.", [Word(1.0, 1.5, " Fine", 0.9), Word(1.5, 2.3, " day.", 0.7)]),
    ]

    def answer(response_format: str) -> httpx.Response:
        form = {"response_format": response_format, "timestamp_granularities[]": ["word", "segment"]}
        return http.post(URL, files={"file": AUDIO}, data=form)

    body: dict[str, Any] = answer("verbose_json").json()
    assert [(w["start"], w["end"]) for w in body["words"]] == [(0, 0.3), (0.3, 1.0), (1.0, 1.5), (1.5, 2.0)]
    assert [(s["start"], s["end"]) for s in body["segments"]] == [(0, 1.0), (1.0, 2.0)]
    assert "00:00:00,000 --> 00:00:01,000\n" in answer("srt").text
    assert "00:00:01.000 --> 00:00:02.000\n" in answer("vtt").text
