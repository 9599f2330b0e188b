"""What comes out of a prompt, and when it was said: on both servers, through the public endpoint.

Both have the engine of tests/engine, which hears more prompts, sounds and languages than this.
"""

import io
import re
import time
import wave
from itertools import pairwise
from typing import Any

import av
import httpx
import numpy as np
import pytest

from testbed.word_error_rate import errors, word_error_rate
from tests.api import sounds
from tests.api.conftest import SPEECH, Recording, at_once

URL = "/v1/audio/transcriptions"
HEADER = "x-whisper-shortened"
MINUTES = 5

PROMPT = "The quarterly meeting of the board of directors, with Mr. Dashwood and Mrs. Ferrars."
# 900 characters each.
LONG_PROMPT = (f"{PROMPT} The papers of the day told of wonders, of prophets, and of the price of bread. " * 6)[-900:]
LONG_HOTWORDS = ", ".join(f"{first} {last}" for first in ("Lucie", "Jerry") for last in ["Manette", "Lorry"] * 17)[:900]

CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3})")


@pytest.fixture
def tale(recordings: list[Recording]) -> bytes:
    """A window of 30 s with more than a hundred words, and three seconds more."""
    return part(next(r for r in recordings if r.path.match("moonshine/two_cities.wav")), 0, 33)


@pytest.fixture(scope="session")
def languages() -> bytes:
    """A sentence in each of nine languages, with a second between them."""
    samples: list[Any] = []
    for path in sorted((SPEECH / "audioeval").glob("*/*.wav")):
        if path.name not in ("pangrama.wav", "quick_brown_fox.wav"):
            continue
        with av.open(str(path)) as file:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=sounds.RATE)
            frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
            samples += [part.to_ndarray()[0] for part in [*frames, *resampler.resample(None)]]
        samples.append(np.zeros(sounds.RATE))
    return sounds.wav(np.concatenate(samples))


def part(recording: Recording, start: float, end: float) -> bytes:
    """The sound between two moments, in seconds."""
    written = io.BytesIO()
    with wave.open(str(recording.path)) as whole, wave.open(written, "wb") as out:
        out.setparams(whole.getparams())
        whole.setpos(round(start * whole.getframerate()))
        out.writeframes(whole.readframes(round((end - start) * whole.getframerate())))
    return written.getvalue()


def transcribe(client: httpx.Client, audio: bytes, **form: Any) -> httpx.Response:
    answer = client.post(URL, files={"file": ("a.wav", audio)}, data=form)
    assert answer.status_code == 200, answer.text
    return answer


def test_no_word_is_missing_after_long_hints(services: dict[str, httpx.Client], tale: bytes) -> None:
    def without_and_with_hints(client: httpx.Client) -> tuple[httpx.Response, httpx.Response]:
        plain = transcribe(client, tale, language="en")
        return plain, transcribe(client, tale, language="en", prompt=LONG_PROMPT, hotwords=LONG_HOTWORDS)

    for plain, hinted in at_once(services, without_and_with_hints).values():
        assert HEADER not in plain.headers
        assert word_error_rate(plain.json()["text"], hinted.json()["text"]) < 0.12
        assert hinted.headers[HEADER] == "prompt, hotwords"


def test_a_stream_and_a_job_name_what_was_shortened(service: httpx.Client, recordings: list[Recording]) -> None:
    clip = next(r for r in recordings if r.path.match("librivox/*_austen_*-0880.wav"))
    form = {"language": "en", "prompt": LONG_PROMPT, "hotwords": LONG_HOTWORDS}
    streamed = transcribe(service, clip.path.read_bytes(), **form, stream="true")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert '"shortened":["prompt","hotwords"]' in streamed.text
    files = {"file": ("a.wav", clip.path.read_bytes())}
    address = service.post(URL, files=files, data=form, headers={"prefer": "respond-async"}).headers["location"]
    deadline = time.monotonic() + 60 * MINUTES
    while (answer := service.get(address)).json()["status"] in ("queued", "in_progress"):
        assert time.monotonic() < deadline, f"the job was not done in {MINUTES} minutes"
        time.sleep(0.5)
    assert answer.json()["status"] == "completed"
    assert answer.headers[HEADER] == "prompt, hotwords"
    service.delete(address)


@pytest.mark.parametrize(
    ("sound", "form"),
    [(sounds.laughter(4), {}), (sounds.music(6), {"vad_filter": "false", "batch_size": "4"})],
    ids=["laughter", "music"],
)
def test_a_prompt_is_not_the_text_of_what_nobody_said(
    services: dict[str, httpx.Client], sound: sounds.Samples, form: dict[str, str]
) -> None:
    def texts(client: httpx.Client) -> list[str]:
        hints: list[dict[str, str]] = [{"prompt": PROMPT}, {"hotwords": PROMPT}]
        audio = sounds.wav(sound)
        return [transcribe(client, audio, language="en", **form, **hint).json()["text"] for hint in hints]

    assert at_once(services, texts) == {name: ["", ""] for name in services}


def test_a_prompt_that_is_said_is_the_text(services: dict[str, httpx.Client], recordings: list[Recording]) -> None:
    clip = next(r for r in recordings if r.path.match("audioeval/fr/bonjour_monde.wav"))
    said, audio = clip.text or "", clip.path.read_bytes()

    def text(client: httpx.Client) -> str:
        heard: str = transcribe(client, audio, language=clip.language, prompt=said).json()["text"]
        return heard

    for heard in at_once(services, text).values():
        wrong, words = errors(said, heard, clip.language)
        assert wrong <= 0.35 * words, heard


def test_cues_follow_one_another(services: dict[str, httpx.Client], languages: bytes) -> None:
    answers = at_once(services, lambda client: transcribe(client, languages, response_format="srt", batch_size="4"))
    for answer in answers.values():
        clocks = [(int(h) * 60 + int(m)) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in CLOCK.findall(answer.text)]
        assert len(clocks) > 10
        assert clocks == sorted(clocks)
        assert clocks[-1] <= seconds(languages)


def test_cues_of_several_speakers_follow_one_another(
    services: dict[str, httpx.Client], recordings: list[Recording]
) -> None:
    """In JSON the segments of two who talk at once overlap; a player shows one cue at a time."""
    talk = part(next(r for r in recordings if r.path.match("pyannote/sample.wav")), 15, 30)
    form = {"model": "base", "language": "en", "diarize": "true", "response_format": "srt"}
    answer = services["whisperx"].post("/transcribe", files={"file": talk}, data=form)
    assert answer.status_code == 200, answer.text
    clocks = ["".join(clock) for clock in CLOCK.findall(answer.text)]
    assert len(clocks) > 4
    assert clocks == sorted(clocks)


def test_words_and_segments_rise_and_end_with_the_recording(
    services: dict[str, httpx.Client], languages: bytes
) -> None:
    form = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"], "batch_size": "1"}
    for answer in at_once(services, lambda client: transcribe(client, languages, **form)).values():
        body = answer.json()
        for parts in (body["words"], body["segments"]):
            assert len(parts) > 5
            assert all(0 <= part["start"] <= part["end"] <= body["duration"] for part in parts)
            assert all(before["end"] <= after["start"] for before, after in pairwise(parts))


def seconds(audio: bytes) -> float:
    return (len(audio) - 44) / 2 / sounds.RATE
