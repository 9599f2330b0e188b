"""The routes of a server that tells speakers apart, with an engine that says what the test wrote."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import openai
import pytest
from openai.types.audio import TranscriptionDiarized

from tests.unit.whisper_server.conftest import eventually, serving
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO
from whisper_server.http.app import create_app
from whisper_server.http.openai.routes import diarized_transcriptions, translations
from whisper_server.http.whisperx import routes as whisperx
from whisper_server.process import startup
from whisper_server.process.settings import Settings
from whisper_server.speech.errors import DiarizationUnavailable
from whisper_server.speech.options import Speakers
from whisper_server.work.preload import Preload

NO_TOKEN = "Speaker diarization needs a Hugging Face token, and the server has none."


class ScriptedDiarization:
    def __init__(self) -> None:
        self.failure: DiarizationUnavailable | None = None

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def diarization() -> ScriptedDiarization:
    return ScriptedDiarization()


@pytest.fixture
def engine() -> ScriptedEngine:
    engine = ScriptedEngine()
    first, second = engine.segments
    words = [replace(word, speaker="SPEAKER_00") for word in first.words]
    engine.segments = [replace(first, speaker="SPEAKER_00", words=words), replace(second, speaker="UNKNOWN")]
    return engine


@pytest.fixture
def http(engine: ScriptedEngine, settings: Settings, diarization: ScriptedDiarization) -> Iterator[httpx.Client]:
    routers = (whisperx.router, diarized_transcriptions, translations)
    startup.prepare(settings)
    app = create_app(engine, settings, title="test", audio=routers, preload=Preload(engine, diarization))
    with serving(engine, settings, app) as client:
        yield client


def transcribe(http: httpx.Client, **form: str) -> httpx.Response:
    return http.post("/transcribe", files={"file": ("speech.mp3", AUDIO)}, data=form)


def test_transcribe_as_in_the_guide(http: httpx.Client, engine: ScriptedEngine) -> None:
    answer = transcribe(http, model=MODEL, language="fr", diarize="true")
    assert answer.status_code == 200
    assert answer.json() == {
        "segments": [
            {"start": 0.0, "end": 1.0, "text": "Good morning.", "speaker": "SPEAKER_00"},
            {"start": 1.0, "end": 2.0, "text": "Fine day.", "speaker": "UNKNOWN"},
        ],
        "language": "fr",
        "timing": "decoded",
    }
    (options,) = engine.asked
    assert (options.language, options.speakers, options.align) == ("fr", Speakers(), True)


def test_transcribe_with_a_file_alone(http: httpx.Client, engine: ScriptedEngine) -> None:
    assert transcribe(http).status_code == 200
    (options,) = engine.asked
    assert (options.model, options.language, options.speakers) == (MODEL, None, None)


def test_extensions_reach_the_engine(http: httpx.Client, engine: ScriptedEngine) -> None:
    form = {"diarize": "true", "min_speakers": "2", "max_speakers": "3", "align": "false", "task": "translate"}
    assert transcribe(http, **form).status_code == 200
    form = {"diarize": "true", "num_speakers": "2", "min_speakers": "1", "max_speakers": "2", "word_timestamps": "true"}
    assert transcribe(http, **form).status_code == 200
    first, second = engine.asked
    assert (first.speakers, first.align, first.task) == (Speakers(None, 2, 3), False, "translate")
    assert (second.speakers, second.word_timestamps) == (Speakers(2), True)


def test_words_to_expect_are_passed_on(http: httpx.Client, engine: ScriptedEngine) -> None:
    assert transcribe(http, hotwords="Zoë, Ägir").status_code == 200
    assert transcribe(http).status_code == 200
    assert [options.hotwords for options in engine.asked] == ["Zoë, Ägir", None]


def test_words_when_asked_for(http: httpx.Client) -> None:
    segments = transcribe(http, word_timestamps="true").json()["segments"]
    assert segments[0]["words"][1] == {
        "word": "morning.", "start": 0.4, "end": 1.0, "score": 0.8, "speaker": "SPEAKER_00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("response_format", "content_type", "expected"),
    [
        ("txt", "text/plain; charset=utf-8", "[SPEAKER_00]: Good morning.\n[UNKNOWN]: Fine day.\n"),
        (
            "srt",
            "text/plain; charset=utf-8",
            "1\n00:00:00,000 --> 00:00:01,000\n[SPEAKER_00]: Good morning.\n\n"
            "2\n00:00:01,000 --> 00:00:02,000\n[UNKNOWN]: Fine day.\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v SPEAKER_00>Good morning.\n\n"
            "00:00:01.000 --> 00:00:02.000\n<v UNKNOWN>Fine day.\n\n",
        ),
        (
            "tsv",
            "text/tab-separated-values; charset=utf-8",
            "start\tend\tspeaker\ttext\n0\t1000\tSPEAKER_00\tGood morning.\n1000\t2000\tUNKNOWN\tFine day.\n",
        ),
    ],
)
def test_formats_have_speakers(http: httpx.Client, response_format: str, content_type: str, expected: str) -> None:
    answer = transcribe(http, response_format=response_format, diarize="true")
    assert (answer.headers["content-type"], answer.text) == (content_type, expected)


def test_formats_without_speakers(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.segments = [replace(segment, speaker=None) for segment in engine.segments]
    assert transcribe(http, response_format="txt").text == "Good morning.\nFine day.\n"
    assert transcribe(http, response_format="tsv").text.splitlines()[:2] == [
        "start\tend\ttext",
        "0\t1000\tGood morning.",
    ]
    assert "speaker" not in transcribe(http).text


def test_diarized_json_is_openai_s(http: httpx.Client, engine: ScriptedEngine) -> None:
    answer = http.post(
        "/v1/audio/transcriptions",
        files={"file": ("speech.mp3", AUDIO)},
        data={"model": "whisper-1", "response_format": "diarized_json"},
    )
    body = TranscriptionDiarized.model_validate(answer.json(), strict=False)
    assert [(segment.id, segment.speaker) for segment in body.segments] == [
        ("seg_0", "SPEAKER_00"),
        ("seg_1", "UNKNOWN"),
    ]
    assert body.text == "Good morning. Fine day."
    assert engine.asked[0].speakers == Speakers()


def test_openai_s_client_works_as_on_the_other_server(http: httpx.Client, engine: ScriptedEngine) -> None:
    client = openai.OpenAI(base_url=str(http.base_url.join("/v1")), api_key="unused", max_retries=0)
    answer = client.audio.transcriptions.create(model="whisper-1", file=("speech.mp3", AUDIO), language="fr")
    assert answer.text == "Good morning. Fine day."
    assert engine.asked[0].speakers is None


def test_a_job_has_speakers(http: httpx.Client) -> None:
    answer = http.post(
        "/transcribe",
        files={"file": ("speech.mp3", AUDIO)},
        data={"diarize": "true"},
        headers={"prefer": "respond-async"},
    )
    assert answer.status_code == 202
    address = answer.headers["location"]
    assert eventually(lambda: http.get(address).json()["status"] == "completed")
    assert http.get(address).json()["result"]["segments"][0]["speaker"] == "SPEAKER_00"


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"diarize": "maybe"}, "diarize"),
        ({"diarize": "true", "min_speakers": "3", "max_speakers": "2"}, "min_speakers"),
        ({"diarize": "true", "num_speakers": "0"}, "num_speakers"),
        ({"min_speakers": "0"}, "min_speakers"),
        ({"max_speakers": "many"}, "max_speakers"),
        ({"num_speakers": "3", "max_speakers": "2"}, "num_speakers"),
        ({"num_speakers": "1", "min_speakers": "2"}, "num_speakers"),
        ({"language": "tlh"}, "language"),
        ({"response_format": "verbose_json"}, "response_format"),
        ({"task": "summarise"}, "task"),
        ({"align": "perhaps"}, "align"),
    ],
)
def test_bad_parameters(http: httpx.Client, engine: ScriptedEngine, form: dict[str, str], param: str) -> None:
    answer = transcribe(http, **form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert engine.asked == []


def test_an_empty_number_of_speakers_is_none(http: httpx.Client, engine: ScriptedEngine) -> None:
    """So says the schema, from which Swagger UI fills its form, and it sends what it shows."""
    forms = http.get("/openapi.json").json()["components"]["schemas"].values()
    fields = [form["properties"]["num_speakers"] for form in forms if "num_speakers" in form.get("properties", {})]
    assert [field["default"] for field in fields] == ["", ""]
    assert transcribe(http, diarize="true", num_speakers="", min_speakers="", max_speakers="").status_code == 200
    assert engine.asked[0].speakers == Speakers(None, None, None)


def test_diarization_that_cannot_run_is_said_before_any_work(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.preparation_failure = DiarizationUnavailable(NO_TOKEN)
    answer = transcribe(http, diarize="true")
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "message": NO_TOKEN, "type": "server_error", "param": "diarize", "code": "diarization_unavailable",
    }  # fmt: skip
    assert "retry-after" not in answer.headers
    assert engine.asked == []


def test_a_hub_that_cannot_be_reached_may_be_later(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.preparation_failure = DiarizationUnavailable("The hub cannot be reached.", retry_after=60)
    assert transcribe(http, diarize="true").headers["retry-after"] == "60"


def test_ready_says_that_speakers_can_be_told_apart(http: httpx.Client) -> None:
    assert eventually(lambda: http.get("/ready").status_code == 200)
    assert http.get("/ready").json() == {"status": "ready", "model": MODEL, "diarization": {"available": True}}


class TestWithoutToken:
    @pytest.fixture
    def diarization(self) -> ScriptedDiarization:
        diarization = ScriptedDiarization()
        diarization.failure = DiarizationUnavailable(NO_TOKEN)
        return diarization

    def test_ready_says_why_not(self, http: httpx.Client) -> None:
        assert eventually(lambda: http.get("/ready").status_code == 200)
        assert http.get("/ready").json()["diarization"] == {"available": False, "message": NO_TOKEN}


def test_all_routes_are_described(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    assert {"/transcribe", "/v1/audio/transcriptions", "/v1/audio/translations"} <= schema["paths"].keys()
    answers = schema["paths"]["/transcribe"]["post"]["responses"]
    assert {"200", "202", "400", "503"} <= answers.keys()
