"""Bad input through the public endpoint: the right status and an error object of OpenAI's shape, never a 500."""

import io
from dataclasses import dataclass, field

import av
import httpx
import pytest

from tests.api.conftest import Recording

MP3 = "sample.mp3"


@dataclass(frozen=True)
class Case:
    """What is sent, and what must come back. ``content`` None: no file at all."""

    name: str
    status: int
    content: bytes | None
    param: str | None = None
    code: str | None = None
    form: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="session")
def speech(recordings: list[Recording]) -> bytes:
    return next(r.path for r in recordings if r.path.match("librivox/*-0880.wav")).read_bytes()


@pytest.fixture(scope="session")
def mp3(speech: bytes) -> bytes:
    """The same recording as an mp3, whose header states its length as encoders write it."""
    target = io.BytesIO()
    with av.open(io.BytesIO(speech), "r") as source, av.open(target, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=16_000)
        for frame in source.decode(audio=0):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


SPEECH = b"<a real recording>"
CASES = [
    Case("no file", 400, None, param="file"),
    Case("an empty file", 400, b"", param="file"),
    Case("text named .mp3", 415, b"This is a text and no sound at all.\n" * 100, param="file"),
    Case("an unknown model", 404, SPEECH, param="model", code="model_not_found", form={"model": "Systran/no-such"}),
    Case("a path as model", 404, SPEECH, param="model", code="model_not_found", form={"model": "../../etc/passwd"}),
    Case("an unknown language", 400, SPEECH, param="language", form={"language": "xx"}),
    Case("an unknown format", 400, SPEECH, param="response_format", form={"response_format": "docx"}),
    Case("a temperature of 5", 400, SPEECH, param="temperature", form={"temperature": "5"}),
    Case("a temperature that is no number", 400, SPEECH, param="temperature", form={"temperature": "warm"}),
    Case(
        "an unknown granularity",
        400,
        SPEECH,
        param="timestamp_granularities[]",
        form={"response_format": "verbose_json", "timestamp_granularities[]": "letter"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_refused_with_a_reason(http: httpx.Client, speech: bytes, case: Case) -> None:
    content = speech if case.content == SPEECH else case.content
    answer = http.post(
        "/v1/audio/transcriptions",
        files=None if content is None else {"file": (MP3, content)},
        data={"model": "whisper-1", **case.form},
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (case.status, case.param), answer.text
    assert error["type"] == "invalid_request_error"
    assert case.code is None or error["code"] == case.code
    assert error["message"]
    assert "Traceback" not in answer.text
    assert "/data" not in answer.text


def test_a_truncated_mp3_is_not_taken_for_the_whole(http: httpx.Client, mp3: bytes) -> None:
    whole = http.post("/v1/audio/transcriptions", files={"file": (MP3, mp3)}, data={"model": "whisper-1"})
    assert whole.status_code == 200, whole.text
    half = http.post(
        "/v1/audio/transcriptions", files={"file": (MP3, mp3[: len(mp3) // 2])}, data={"model": "whisper-1"}
    )
    assert half.status_code == 400, half.text
    assert half.json()["error"]["param"] == "file"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/audio/transcriptions", 405), ("GET", "/no/such", 404)]
)
def test_wrong_routes_are_error_objects_too(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_no_upload_is_left_behind(http: httpx.Client, demo_spool: list[str]) -> None:
    assert http.get("/health").status_code == 200
    assert demo_spool == []
