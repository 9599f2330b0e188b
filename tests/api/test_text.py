"""What comes out of a prompt, and when it was said: on both servers, through the public endpoint."""

import re
import ssl
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import av
import httpx
import numpy as np
import pytest

from tests.api import sounds
from tests.api.accuracy import errors, word_error_rate
from tests.api.conftest import SPEECH, Demo, Recording

URL = "/v1/audio/transcriptions"
HEADER = "x-whisper-shortened"
MINUTES = 5

PROMPT = "The quarterly meeting of the board of directors, with Mr. Dashwood and Mrs. Ferrars."
# 900 characters each.
LONG_PROMPT = (f"{PROMPT} The papers of the day told of wonders, of prophets, and of the price of bread. " * 6)[-900:]
LONG_HOTWORDS = ", ".join(f"{first} {last}" for first in ("Lucie", "Jerry") for last in ["Manette", "Lorry"] * 17)[:900]

CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3})")


@pytest.fixture(params=["faster-whisper", "whisperx"])
def server(request: pytest.FixtureRequest, demo: Demo, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    url = demo.url if request.param == "faster-whisper" else demo.whisperx_url
    headers = {"Authorization": f"Bearer {demo.key}"}
    with httpx.Client(base_url=url, verify=trust, timeout=300, headers=headers) as client:
        yield client


@pytest.fixture
def tale(recordings: list[Recording]) -> Recording:
    """44 s with more than a hundred words in the first 30."""
    return next(r for r in recordings if r.path.match("moonshine/two_cities.wav"))


@pytest.fixture(scope="session")
def languages() -> bytes:
    """Nine languages, two clips each, with a second between them."""
    samples: list[Any] = []
    for path in sorted((SPEECH / "audioeval").glob("*/*.wav")):
        with av.open(str(path)) as file:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=sounds.RATE)
            frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
            samples += [part.to_ndarray()[0] for part in [*frames, *resampler.resample(None)]]
        samples.append(np.zeros(sounds.RATE))
    return sounds.wav(np.concatenate(samples))


def transcribe(server: httpx.Client, audio: bytes, **form: str) -> httpx.Response:
    answer = server.post(URL, files={"file": ("a.wav", audio)}, data=form)
    assert answer.status_code == 200, answer.text
    return answer


def test_no_word_is_missing_after_long_hints(server: httpx.Client, tale: Recording) -> None:
    audio = tale.path.read_bytes()
    plain = transcribe(server, audio, language="en")
    assert HEADER not in plain.headers
    hinted = transcribe(server, audio, language="en", prompt=LONG_PROMPT, hotwords=LONG_HOTWORDS)
    assert word_error_rate(plain.json()["text"], hinted.json()["text"]) < 0.12
    assert hinted.headers[HEADER] == "prompt, hotwords"


def test_a_stream_and_a_job_name_what_was_shortened(server: httpx.Client, recordings: list[Recording]) -> None:
    clip = next(r for r in recordings if r.path.match("librivox/*_austen_*-0870.wav"))
    form = {"language": "en", "prompt": LONG_PROMPT, "hotwords": LONG_HOTWORDS}
    streamed = transcribe(server, clip.path.read_bytes(), **form, stream="true")
    assert '"shortened":["prompt","hotwords"]' in streamed.text
    files = {"file": ("a.wav", clip.path.read_bytes())}
    address = server.post(URL, files=files, data=form, headers={"prefer": "respond-async"}).headers["location"]
    deadline = time.monotonic() + 60 * MINUTES
    while (answer := server.get(address)).json()["status"] in ("queued", "in_progress"):
        assert time.monotonic() < deadline, f"the job was not done in {MINUTES} minutes"
        time.sleep(0.5)
    assert answer.json()["status"] == "completed"
    assert answer.headers[HEADER] == "prompt, hotwords"
    server.delete(address)


@pytest.mark.parametrize(
    ("sound", "form"),
    [
        (lambda: sounds.laughter(4), {}),
        (lambda: sounds.laughter(8, pitch=160), {"batch_size": "4"}),
        (lambda: sounds.noise(6), {"vad_filter": "false"}),
        (lambda: sounds.applause(6), {"vad_filter": "false", "batch_size": "4"}),
        (lambda: sounds.music(6), {"vad_filter": "false"}),
    ],
    ids=["laughter", "much laughter", "noise", "applause", "music"],
)
def test_a_prompt_is_not_the_text_of_what_nobody_said(
    server: httpx.Client, sound: Callable[[], sounds.Samples], form: dict[str, str]
) -> None:
    audio = sounds.wav(sound())
    assert transcribe(server, audio, language="en", prompt=PROMPT, **form).json()["text"] == ""
    assert transcribe(server, audio, language="en", hotwords=PROMPT, **form).json()["text"] == ""


@pytest.mark.parametrize("name", ["librivox/*-0870.wav", "librivox/*-0930.wav", "audioeval/fr/bonjour_monde.wav"])
def test_a_prompt_that_is_said_is_the_text(server: httpx.Client, recordings: list[Recording], name: str) -> None:
    clip = next(r for r in recordings if r.path.match(name))
    assert clip.text is not None
    text = transcribe(server, clip.path.read_bytes(), language=clip.language, prompt=clip.text).json()["text"]
    wrong, words = errors(clip.text, text, clip.language)
    assert wrong <= 0.35 * words, text


@pytest.mark.parametrize(("response_format", "batch_size"), [("srt", "4"), ("vtt", "1")])
def test_cues_follow_one_another(server: httpx.Client, languages: bytes, response_format: str, batch_size: str) -> None:
    text = transcribe(server, languages, response_format=response_format, batch_size=batch_size).text
    clocks = [(int(h) * 60 + int(m)) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in CLOCK.findall(text)]
    assert len(clocks) > 10
    assert clocks == sorted(clocks)
    assert clocks[-1] <= seconds(languages)


def test_cues_of_several_speakers_follow_one_another(demo: Demo, trust: ssl.SSLContext) -> None:
    """In JSON the segments of two who talk at once overlap; a player shows one cue at a time."""
    with httpx.Client(base_url=demo.whisperx_url, verify=trust, timeout=300) as client:
        answer = client.post(
            "/transcribe",
            files={"file": (SPEECH / "pyannote/sample.wav").read_bytes()},
            data={"model": "base", "language": "en", "diarize": "true", "response_format": "srt"},
            headers={"Authorization": f"Bearer {demo.key}"},
        )
    assert answer.status_code == 200, answer.text
    clocks = ["".join(clock) for clock in CLOCK.findall(answer.text)]
    assert len(clocks) > 4
    assert clocks == sorted(clocks)


def test_words_and_segments_rise_and_end_with_the_recording(server: httpx.Client, languages: bytes) -> None:
    form = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    answer = server.post(URL, files={"file": ("a.wav", languages)}, data=form)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    for parts in (body["words"], body["segments"]):
        assert all(0 <= part["start"] <= part["end"] <= body["duration"] for part in parts)
        assert all(before["end"] <= after["start"] for before, after in pairwise(parts))


def seconds(audio: bytes) -> float:
    return (len(audio) - 44) / 2 / sounds.RATE
