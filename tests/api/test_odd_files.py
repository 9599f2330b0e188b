"""Recordings as people have them, and files that are none, through the public endpoint, on both servers.

What is decoded of each file is tests/media's; here are the words and their times, as clients get them.
"""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import SPEECH, Demo

CORPUS = Path(__file__).parents[1] / "media/corpus"
CLIP = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"

Segments = list[dict[str, Any]]
Transcribe = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(params=["faster-whisper", "whisperx"])
def transcribe(request: pytest.FixtureRequest, http: httpx.Client, demo: Demo) -> Transcribe:
    """Status and answer of a file, with its segments, of one of the servers."""

    def ask(content: bytes, **fields: str) -> tuple[int, dict[str, Any]]:
        if request.param == "faster-whisper":
            url, form = f"{demo.url}/v1/audio/transcriptions", {"model": "whisper-1", "response_format": "verbose_json"}
        else:
            url, form = f"{demo.whisperx_url}/transcribe", {"align": "false"}
        answer = http.post(url, files={"file": ("recording", content)}, data={**form, "language": "en", **fields})
        return answer.status_code, answer.json()

    return ask


def words(segments: Segments) -> str:
    text = " ".join(segment["text"] for segment in segments).lower()
    return " ".join(re.findall(r"[a-z]+", text))


@pytest.mark.parametrize(
    "name", [path.name for path in sorted(CORPUS.iterdir()) if path.name not in ("README.md", "rate-1hz.flac")]
)
def test_recordings_that_players_play_are_transcribed(transcribe: Transcribe, name: str) -> None:
    status, answer = transcribe((CORPUS / name).read_bytes())
    assert status == 200, answer
    segments = answer["segments"]
    if name == "dtx.amr":
        assert len(words(segments).split()) > 10
        return
    heard = words(segments)
    # The clip is "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power …"
    # Three seconds of it are in one of the files.
    assert ("leisure to" if name == "header-of-first-chunk.wav" else "leisure to consider") in heard
    if name.startswith(("chained", "channels", "rate")):
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


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_files_is_no_recording_while_another_client_uploads(transcribe: Transcribe, name: str) -> None:
    """Twelve of each, beside recordings of another client: one of these would have the descriptor that is named."""
    with ThreadPoolExecutor(max_workers=3) as others:
        uploads = [others.submit(transcribe, CLIP.read_bytes()) for _ in range(3)]
        for _ in range(12):
            status, answer = transcribe(LISTS[name])
            if status == 429:
                time.sleep(1)
                continue
            assert (status, answer["error"]["code"]) == (415, "unsupported_media_type"), answer
        assert all("leisure" in words(upload.result()[1].get("segments", [])) for upload in uploads)


def test_a_rate_that_no_recording_has_is_refused(transcribe: Transcribe) -> None:
    status, answer = transcribe((CORPUS / "rate-1hz.flac").read_bytes())
    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, "file", "undecodable_audio")
    assert "1 Hz" in answer["error"]["message"]


def test_a_track_is_chosen_by_its_number(transcribe: Transcribe) -> None:
    """Of the two the first is silent."""
    content = (CORPUS / "first-track-silent.mov").read_bytes()
    assert transcribe(content, track="1")[1]["segments"] == []
    assert "leisure" in words(transcribe(content, track="2")[1]["segments"])
    status, answer = transcribe(content, track="3")
    assert (status, answer["error"]["param"]) == (400, "track")
    assert "2 audio tracks" in answer["error"]["message"]
