import io

import httpx
import openai
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO
from whisper_server.speech.options import Options, VoiceActivity

URL = "/v1/audio/transcriptions"


@pytest.fixture
def client(http: httpx.Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=str(http.base_url.join("/v1")), api_key="unused", max_retries=0)


@pytest.fixture
def audio() -> io.BytesIO:
    file = io.BytesIO(AUDIO)
    file.name = "speech.mp3"
    return file


def test_json(client: openai.OpenAI, audio: io.BytesIO, engine: ScriptedEngine) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=audio)
    assert Transcription.model_validate(answer.model_dump()).text == "Good morning. Fine day."
    assert answer.model_dump()["usage"] == {"type": "duration", "seconds": 2}
    assert engine.heard == [2.0]


def test_an_empty_language_is_none(client: openai.OpenAI, audio: io.BytesIO, engine: ScriptedEngine) -> None:
    """Forms of web pages send an empty field for what was left out."""
    client.audio.transcriptions.create(model=MODEL, file=audio, language="")
    (options,) = engine.asked
    assert options.language is None


def test_every_parameter_reaches_the_engine(client: openai.OpenAI, audio: io.BytesIO, engine: ScriptedEngine) -> None:
    client.audio.transcriptions.create(
        model=MODEL,
        file=audio,
        language="FR",
        prompt="Bonjour",
        temperature=0.5,
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    (options,) = engine.asked
    assert (options.model, options.language, options.prompt, options.temperature) == (MODEL, "fr", "Bonjour", 0.5)
    assert options.word_timestamps


def test_verbose_json_has_all_fields_of_a_segment(client: openai.OpenAI, audio: io.BytesIO) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=audio, response_format="verbose_json")
    body = TranscriptionVerbose.model_validate(answer.model_dump())
    assert (body.language, body.duration, body.text) == ("en", 2.0, "Good morning. Fine day.")
    assert body.words is None
    assert body.segments is not None
    assert body.segments[1].model_dump() == {
        "id": 1,
        "seek": 0,
        "start": 1.0,
        "end": 2.0,
        "text": " Fine day.",
        "tokens": [50364, 7, 50414],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.5,
        "no_speech_prob": 0.01,
    }
    assert answer.model_dump()["task"] == "transcribe"


@pytest.mark.parametrize("field", ["timestamp_granularities[]", "timestamp_granularities"])
@pytest.mark.parametrize(
    ("granularities", "present"),
    [(["word"], {"words"}), (["segment"], {"segments"}), (["word", "segment"], {"words", "segments"})],
)
def test_granularities(http: httpx.Client, field: str, granularities: list[str], present: set[str]) -> None:
    form = {"response_format": "verbose_json", field: granularities}
    body = http.post(URL, files={"file": AUDIO}, data=form).json()
    assert body.keys() & {"words", "segments"} == present
    if "words" in present:
        assert body["words"][0] == {"word": "Good", "start": 0.0, "end": 0.4, "probability": 0.9}


def test_words_are_not_computed_when_the_format_cannot_show_them(http: httpx.Client, engine: ScriptedEngine) -> None:
    http.post(URL, files={"file": AUDIO}, data={"timestamp_granularities[]": "word"})
    assert not engine.asked[0].word_timestamps


@pytest.mark.parametrize(
    ("response_format", "content_type", "body"),
    [
        ("text", "text/plain; charset=utf-8", "Good morning. Fine day.\n"),
        (
            "srt",
            "text/plain; charset=utf-8",
            "1\n00:00:00,000 --> 00:00:01,000\nGood morning.\n\n2\n00:00:01,000 --> 00:00:02,000\nFine day.\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nGood morning.\n\n00:00:01.000 --> 00:00:02.000\nFine day.\n\n",
        ),
    ],
)
def test_text_formats(http: httpx.Client, response_format: str, content_type: str, body: str) -> None:
    answer = http.post(URL, files={"file": AUDIO}, data={"response_format": response_format})
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, content_type, body)


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text", "srt", "vtt"])
def test_nothing_said_is_an_empty_text(http: httpx.Client, engine: ScriptedEngine, response_format: str) -> None:
    engine.segments = []
    answer = http.post(URL, files={"file": AUDIO}, data={"response_format": response_format})
    assert answer.status_code == 200
    said = answer.json()["text"] if "json" in response_format else answer.text
    assert said == ("WEBVTT\n\n" if response_format == "vtt" else "")


def test_the_engine_s_own_time_is_told(http: httpx.Client) -> None:
    answer = http.post(URL, files={"file": AUDIO})
    assert 0 <= int(answer.headers["openai-processing-ms"]) < 1000


# OpenAI's client calls its translations deprecated; its users are still there.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translations(client: openai.OpenAI, http: httpx.Client, engine: ScriptedEngine) -> None:
    answer = client.audio.translations.create(model="whisper-1", file=("a.wav", AUDIO), prompt="Paris")
    assert answer.text == "Good morning. Fine day."
    (options,) = engine.asked
    assert (options.task, options.prompt, options.language) == ("translate", "Paris", None)
    verbose = http.post("/v1/audio/translations", files={"file": AUDIO}, data={"response_format": "verbose_json"})
    assert (verbose.json()["task"], verbose.json()["language"]) == ("translate", "en")


def test_extensions_reach_the_engine(http: httpx.Client, engine: ScriptedEngine) -> None:
    form = {"vad_filter": "false", "hotwords": "Zoë", "batch_size": "4"}
    for path in (URL, "/v1/audio/translations"):
        assert http.post(path, files={"file": AUDIO}, data=form).status_code == 200
        options = engine.asked[-1]
        assert (options.voice_activity, options.hotwords, options.batch_size) == (None, "Zoë", 4)


def test_empty_fields_mean_their_defaults(http: httpx.Client, engine: ScriptedEngine) -> None:
    form = {"language": "", "prompt": "", "response_format": "", "temperature": "", "hotwords": "", "model": ""}
    assert http.post(URL, files={"file": AUDIO}, data=form).status_code == 200
    assert engine.asked == [Options(model=MODEL)]


def test_chunking_strategy(client: openai.OpenAI, http: httpx.Client, engine: ScriptedEngine) -> None:
    client.audio.transcriptions.create(model="whisper-1", file=("a.wav", AUDIO), chunking_strategy="auto")
    assert engine.asked[-1].voice_activity == VoiceActivity()
    client.audio.transcriptions.create(
        model="whisper-1",
        file=("a.wav", AUDIO),
        chunking_strategy={"type": "server_vad", "threshold": 0.3, "silence_duration_ms": 500},
    )
    assert engine.asked[-1].voice_activity == VoiceActivity(threshold=0.3, silence_ms=500)
    http.post(URL, files={"file": AUDIO}, data={"chunking_strategy": '{"type":"server_vad","prefix_padding_ms":0}'})
    assert engine.asked[-1].voice_activity == VoiceActivity(padding_ms=0)


@pytest.mark.parametrize(
    "strategy",
    ["manual", "{", "[]", '{"type":"other"}', '{"type":"server_vad","threshold":7}', '{"type":"server_vad","x":1}'],
)
def test_a_wrong_chunking_strategy(http: httpx.Client, strategy: str) -> None:
    answer = http.post(URL, files={"file": AUDIO}, data={"chunking_strategy": strategy})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "chunking_strategy")


def test_log_probabilities_are_not_to_be_had(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", AUDIO), include=["logprobs"])
    assert (refused.value.param, refused.value.code) == ("include[]", "unsupported_option")


@pytest.mark.parametrize("name", ["model", "language", "response_format", "temperature", "stream", "chunking_strategy"])
def test_a_field_sent_twice(http: httpx.Client, name: str) -> None:
    answer = http.post(URL, files={"file": AUDIO}, data={name: ["1", "1"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
    assert answer.json()["error"]["code"] == "duplicate_parameter"


@pytest.mark.parametrize(("name", "value"), [("batch_size", "-1"), ("batch_size", "99"), ("stream", "perhaps")])
def test_extensions_out_of_their_range(http: httpx.Client, name: str, value: str) -> None:
    answer = http.post(URL, files={"file": AUDIO}, data={name: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
