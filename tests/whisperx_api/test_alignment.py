"""Words aligned with the sound by models whose weights are random, for no trained one can be had without a hub.

This proves plumbing, not accuracy: that a language's model is found and used, that the answer says so, and that
whatever a model makes of the sound no text is lost. The times of the words mean nothing here. Which languages have
which model: testbed/whisperx; what the models are: testbed/alignment.py.
"""

import re
from typing import Any

import httpx
import pytest

from tests.whisperx_api.conftest import Recording
from tests.whisperx_api.test_transcribe import RATE, wav
from whisper_server.speech.decoding import decode

SPANISH = ("conteo", "hola_mundo", "pangrama")
FRENCH = ("bonjour_monde", "comptage", "pangrama")


def samples(recording: Recording) -> list[int]:
    """Mono, 16 bits, 16 kHz."""
    with decode(recording.path, recording.seconds + 1) as decoded:
        return [round(32768 * sample) for sample in decoded.samples(0, decoded.seconds)]


def transcribe(http: httpx.Client, audio: bytes, **form: str) -> dict[str, Any]:
    answer = http.post("/transcribe", files={"file": ("a.wav", audio)}, data=form)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def text(answer: dict[str, Any]) -> str:
    return " ".join(segment["text"] for segment in answer["segments"])


def compare(http: httpx.Client, audio: bytes, language: str) -> dict[str, Any]:
    """The aligned answer, after its text was found to be that of the answer without alignment."""
    form = {"language": language, "word_timestamps": "true"}
    aligned = transcribe(http, audio, **form)
    plain = transcribe(http, audio, **form, align="false")
    assert (aligned["timing"], plain["timing"]) == ("aligned", "attention")
    assert text(aligned) == text(plain) != ""
    moments = [
        [(word["start"], word["end"]) for s in answer["segments"] for word in s["words"]] for answer in (aligned, plain)
    ]
    assert moments[0] != moments[1], "the model was not asked"
    return aligned


@pytest.mark.parametrize(
    ("language", "names", "unknown"),
    [("es", SPANISH, "[áéíóúñ¡¿]"), ("fr", FRENCH, "[0-9]")],
    ids=["transformers", "torchaudio"],
)
def test_an_aligned_answer_has_all_of_the_text(
    http: httpx.Client, recordings: dict[str, Recording], language: str, names: tuple[str, ...], unknown: str
) -> None:
    """Both kinds of model. Characters that the model does not know stay in the words."""
    pause = [0] * (2 * RATE)
    clips = [samples(recordings[f"audioeval/{language}/{name}.wav"]) + pause for name in names]
    answer = compare(http, wav([sample for clip in clips for sample in clip]), language)
    assert re.search(unknown, text(answer))
    for segment in answer["segments"]:
        assert " ".join(word["word"] for word in segment["words"]) == segment["text"]
        assert all(segment["start"] <= word["start"] <= word["end"] <= segment["end"] for word in segment["words"])


def test_a_language_without_spaces(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    """WhisperX aligns each character alone; none of them is one that the model knows."""
    answer = compare(http, recordings["audioeval/ja/pangrama.wav"].path.read_bytes(), "ja")
    for segment in answer["segments"]:
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]


def test_aligned_words_have_speakers(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    audio = recordings["audioeval/es/pangrama.wav"].path.read_bytes()
    answer = transcribe(http, audio, language="es", diarize="true")
    assert answer["timing"] == "aligned"
    assert all(segment["speaker"] for segment in answer["segments"])
    assert text(answer) == text(transcribe(http, audio, language="es", align="false"))


def test_a_clip_that_is_too_short_for_the_model(http: httpx.Client, recordings: dict[str, Recording]) -> None:
    audio = wav(samples(recordings["audioeval/es/hola_mundo.wav"])[RATE // 4 : RATE // 2])
    answer = transcribe(http, audio, language="es")
    assert text(answer) == text(transcribe(http, audio, language="es", align="false"))


@pytest.mark.parametrize(
    ("language", "name"),
    [("it", "pangrama"), ("pt", "pangrama"), ("pl", "pangrama")],
    ids=["corrupted", "absent folder", "no model"],
)
def test_what_no_model_can_align_has_times_of_attention(
    http: httpx.Client, recordings: dict[str, Recording], language: str, name: str
) -> None:
    audio = recordings[f"audioeval/{language}/{name}.wav"].path.read_bytes()
    answer = transcribe(http, audio, language=language, word_timestamps="true")
    plain = transcribe(http, audio, language=language, word_timestamps="true", align="false")
    assert answer == plain
    assert answer["timing"] == "attention"
