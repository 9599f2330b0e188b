"""Recordings as people have them, and files that are none, through the public endpoint, on both servers.

What is decoded of each file is tests/media's; here are the words and their times, as clients get them.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import SERVICES, SPEECH, at_once

CORPUS = Path(__file__).parents[1] / "media/corpus"
CLIP = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0880.wav"
# One of each kind; tests/media decodes the same in other containers.
ODD = (
    "chained-mono-stereo.opus",
    "dtx.amr",
    "header-of-first-chunk.wav",
    "hole.webm",
    "rate-and-channels-change.mp3",
    "second-track-default.mkv",
    "sound-late.mp4",
)

Segments = list[dict[str, Any]]
Answer = tuple[int, dict[str, Any]]


def transcribe(client: httpx.Client, content: bytes, **fields: str) -> Answer:
    """Status and answer of a file, with its segments."""
    form = {"response_format": "verbose_json", "language": "en", **fields}
    answer = client.post("/v1/audio/transcriptions", files={"file": ("recording", content)}, data=form)
    return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def answers(services: dict[str, httpx.Client]) -> dict[str, dict[str, Answer]]:
    """By service and file."""
    return at_once(services, lambda client: {name: transcribe(client, (CORPUS / name).read_bytes()) for name in ODD})


def words(segments: Segments) -> str:
    text = " ".join(segment["text"] for segment in segments).lower()
    return " ".join(re.findall(r"[a-z]+", text))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", ODD)
def test_recordings_that_players_play_are_transcribed(
    answers: dict[str, dict[str, Answer]], service: str, name: str
) -> None:
    status, answer = answers[service][name]
    assert status == 200, answer
    segments = answer["segments"]
    if name == "dtx.amr":
        assert len(words(segments).split()) > 10
        return
    heard = words(segments)
    # The clip is "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power …"
    # Three seconds of it are in one of the files.
    assert ("leisure to" if name == "header-of-first-chunk.wav" else "leisure to consider") in heard
    if name.startswith(("chained", "rate")):
        assert heard.count("leisure to consider") == 2, "both halves"
        assert segments[-1]["end"] > 11
    if name.startswith("sound-late"):
        assert 4.5 < segments[0]["start"] < 5.6
    if name == "hole.webm":
        assert segments[-1]["end"] > 11.5
    if name == "header-of-first-chunk.wav":
        assert segments[-1]["end"] > 2
    ends = [segment["end"] for segment in segments]
    assert ends == sorted(ends)


LISTS = {
    "ffconcat of a descriptor": b"ffconcat version 1.0\nfile 13",
    "ffconcat of a path": b"ffconcat version 1.0\nfile /proc/self/fd/13\n",
    "ffconcat of a pipe": b"ffconcat version 1.0\nfile 1",
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/proc/self/fd/13\n#EXT-X-ENDLIST\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


def test_a_list_of_files_is_no_recording_while_another_client_uploads(services: dict[str, httpx.Client]) -> None:
    """Twelve of each, beside recordings of another client: one of these would have the descriptor that is named."""

    def lists_beside_recordings(client: httpx.Client) -> tuple[list[tuple[str, Answer]], list[Answer]]:
        refusals = []
        with ThreadPoolExecutor(max_workers=3) as others:
            uploads = []
            for name, content in LISTS.items():
                uploads += [others.submit(transcribe, client, CLIP.read_bytes()) for _ in range(2)]
                for _ in range(12):
                    answer = transcribe(client, content)
                    if answer[0] == 429:
                        time.sleep(1)
                    else:
                        refusals.append((name, answer))
            return refusals, [upload.result() for upload in uploads]

    for refusals, uploads in at_once(services, lists_beside_recordings).values():
        for name, (status, answer) in refusals:
            assert (status, answer["error"]["code"]) == (415, "unsupported_media_type"), (name, answer)
        assert {name for name, _ in refusals} == LISTS.keys()
        assert all("young man" in words(answer.get("segments", [])) for _, answer in uploads)


def test_a_rate_that_no_recording_has_is_refused(service: httpx.Client) -> None:
    status, answer = transcribe(service, (CORPUS / "rate-1hz.flac").read_bytes())
    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, "file", "undecodable_audio")
    assert "1 Hz" in answer["error"]["message"]


def test_a_track_is_chosen_by_its_number(services: dict[str, httpx.Client]) -> None:
    """Of the two the first is silent."""
    content = (CORPUS / "first-track-silent.mov").read_bytes()

    def tracks(client: httpx.Client) -> list[Answer]:
        return [transcribe(client, content, track=number) for number in ("1", "2", "3")]

    for first, second, (status, refusal) in at_once(services, tracks).values():
        assert first[1]["segments"] == []
        assert "leisure" in words(second[1]["segments"])
        assert (status, refusal["error"]["param"]) == (400, "track")
        assert "2 audio tracks" in refusal["error"]["message"]
