"""POST /transcribe with real speech, and with what is no speech."""

import io
import math
import struct
import wave

import httpx
import pytest

from testbed.word_error_rate import word_error_rate
from tests.whisperx_api.conftest import Recording

RATE = 16_000


def wav(samples: list[int]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue()


def music(seconds: int) -> bytes:
    """A chord of three notes, struck twice a second."""

    def sample(n: int) -> int:
        t = n / RATE
        return int(6000 * math.exp(-4 * (t % 0.5)) * sum(math.sin(2 * math.pi * f * t) for f in (262, 330, 392)) / 3)

    return wav([sample(n) for n in range(RATE * seconds)])


def transcribe(http: httpx.Client, audio: bytes, **form: str) -> httpx.Response:
    return http.post("/transcribe", files={"file": ("a.wav", audio)}, data=form)


def test_french_with_its_accents(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    """Counting is left out: Whisper writes digits."""
    clips = [recordings[f"audioeval/fr/{name}.wav"] for name in ("bonjour_monde", "pangrama")]
    answers = [transcribe(http, clip.path.read_bytes(), model="base", language="fr").json() for clip in clips]
    said = " ".join(segment["text"] for answer in answers for segment in answer["segments"])
    assert word_error_rate(" ".join(clip.text or "" for clip in clips), said) <= 0.34
    assert {answer["language"] for answer in answers} == {"fr"}


def test_the_language_is_detected(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    clip = recordings["librivox/sense_and_sensibility_01_austen_64kb-0870.wav"]
    answer = transcribe(http, clip.path.read_bytes()).json()
    assert (answer["language"], answer["timing"]) == ("en", "attention")
    assert word_error_rate(clip.text or "", " ".join(segment["text"] for segment in answer["segments"])) <= 0.1


def test_words_lie_in_their_segments(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    clip = recordings["librivox/sense_and_sensibility_01_austen_64kb-0870.wav"]
    body = transcribe(http, clip.path.read_bytes(), language="en", word_timestamps="true").json()
    for segment in body["segments"]:
        assert " ".join(word["word"] for word in segment["words"]) == segment["text"]
        assert all(segment["start"] <= word["start"] <= word["end"] <= segment["end"] for word in segment["words"])


@pytest.mark.parametrize("seconds", [0.0, 0.02, 3.0])
def test_silence(http: httpx.Client, seconds: float) -> None:
    answer = transcribe(http, wav([0] * int(RATE * seconds)), diarize="true")
    assert answer.status_code == 200, answer.text
    assert answer.json()["segments"] == []


def test_ten_seconds_of_music(http: httpx.Client) -> None:
    answer = transcribe(http, music(10), diarize="true")
    assert answer.status_code == 200, answer.text
    assert all(segment["speaker"] for segment in answer.json()["segments"])


def test_20_ms_of_a_voice(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    with wave.open(str(recordings["pyannote/sample.wav"].path)) as whole:
        whole.setpos(RATE * 8)
        samples = list(struct.unpack("<320h", whole.readframes(320)))
    answer = transcribe(http, wav(samples), diarize="true")
    assert answer.status_code == 200, answer.text
    assert all(segment["speaker"] for segment in answer.json()["segments"])


def test_overlapping_speech(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    """Two voices at once for three seconds: each segment has one of them."""
    voices = []
    for name, start in (("librivox/sense_and_sensibility_01_austen_64kb-0880.wav", 0.0), ("pyannote/sample.wav", 22.0)):
        with wave.open(str(recordings[name].path)) as voice:
            assert (voice.getframerate(), voice.getnchannels()) == (RATE, 1)
            voice.setpos(int(RATE * start))
            content = voice.readframes(RATE * 3)
            voices.append(struct.unpack(f"<{len(content) // 2}h", content))
    mixed = [sum(pair) // 2 for pair in zip(*voices, strict=False)]
    answer = transcribe(http, wav(mixed), language="en", diarize="true")
    assert answer.status_code == 200, answer.text
    assert answer.json()["segments"]
    assert all(segment["speaker"] for segment in answer.json()["segments"])


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"diarize": "maybe"}, "diarize"),
        ({"diarize": "true", "min_speakers": "3", "max_speakers": "2"}, "min_speakers"),
        ({"diarize": "true", "num_speakers": "0"}, "num_speakers"),
        ({"language": "tlh"}, "language"),
    ],
)
def test_bad_parameters(http: httpx.Client, form: dict[str, str], param: str) -> None:
    answer = transcribe(http, wav([0] * RATE), **form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_no_audio(http: httpx.Client) -> None:
    assert transcribe(http, b"no audio at all" * 100).status_code == 415


def test_the_start_up_check(http: httpx.Client) -> None:
    assert http.get("/ready").json()["diarization"] == {"available": True}
