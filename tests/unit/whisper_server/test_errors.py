from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.unit.whisper_server.scripted_engine import ScriptedEngine
from tests.unit.whisper_server.sound import FILE
from whisper_server.http.errors import api_error
from whisper_server.speech.errors import (
    ModelNotFound,
    ModelUnavailable,
    NotAudio,
    SpeechError,
    UndecodableAudio,
    UnsupportedOption,
)

URL = "/v1/audio/transcriptions"


def error_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("form", "status", "param", "code"),
    [
        ({"model": "nope"}, 404, "model", "model_not_found"),
        ({"language": "xx"}, 400, "language", "unsupported_option"),
        ({"response_format": "docx"}, 400, "response_format", "invalid_parameter"),
        ({"temperature": "5"}, 400, "temperature", "invalid_parameter"),
        ({"temperature": "warm"}, 400, "temperature", "invalid_parameter"),
        ({"temperature": "nan"}, 400, "temperature", "invalid_parameter"),
        ({"timestamp_granularities[]": "letter"}, 400, "timestamp_granularities[]", "invalid_parameter"),
    ],
)
def test_bad_parameters(http: httpx.Client, form: dict[str, str], status: int, param: str, code: str) -> None:
    answer = http.post(URL, files=FILE, data=form)
    error = error_of(answer)
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("failure", "status", "param", "code", "retry_after"),
    [
        (ModelNotFound("gone"), 404, "model", "model_not_found", None),
        (ModelUnavailable("later", retry_after=7), 503, "model", "model_unavailable", "7"),
        (NotAudio("a text"), 415, "file", "unsupported_media_type", None),
        (UndecodableAudio("cut"), 400, "file", "undecodable_audio", None),
        (UnsupportedOption("language", "English only"), 400, "language", "unsupported_option", None),
    ],
)
def test_engine_errors(
    http: httpx.Client,
    engine: ScriptedEngine,
    failure: Exception,
    status: int,
    param: str,
    code: str,
    retry_after: str | None,
) -> None:
    engine.failure = failure
    answer = http.post(URL, files=FILE)
    error = error_of(answer)
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["message"] == str(failure)
    assert answer.headers.get("retry-after") == retry_after


def test_every_error_of_recordings_models_and_engines_is_answered() -> None:
    for kind in SpeechError.__subclasses__():
        error = kind("language", "what to do") if kind is UnsupportedOption else kind("what to do")
        answer = api_error(error)
        assert answer.detail == "what to do"
        assert answer.status_code >= 400
        assert answer.code
        assert answer.param


def test_an_unforeseen_error_says_nothing_but_its_id(http: httpx.Client, engine: ScriptedEngine) -> None:
    engine.failure = ZeroDivisionError("at /secret/path")
    answer = http.post(URL, files=FILE)
    error = error_of(answer)
    assert (answer.status_code, error["type"], error["code"]) == (500, "server_error", "internal_error")
    assert answer.headers["x-request-id"] in error["message"]
    assert "secret" not in answer.text
    assert http.post(URL, files=FILE).status_code == 500, "the server goes on"


def test_no_file(http: httpx.Client) -> None:
    answer = http.post(URL, data={"model": "whisper-1"})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "file"


def test_a_file_sent_as_text(http: httpx.Client) -> None:
    answer = http.post(URL, data={"file": "abc"})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "file"


def test_an_empty_file(http: httpx.Client) -> None:
    answer = http.post(URL, files={"file": ("speech.mp3", b"")})
    assert answer.status_code == 400
    assert error_of(answer) == {
        "message": "The file is empty. Upload a recording.",
        "type": "invalid_request_error",
        "param": "file",
        "code": "empty_file",
    }


def test_two_files(http: httpx.Client) -> None:
    answer = http.post(URL, files=[("file", ("a.mp3", b"a")), ("file", ("b.mp3", b"b"))])
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_form"


def test_a_json_body(http: httpx.Client) -> None:
    answer = http.post(URL, json={"file": "speech.mp3"})
    assert answer.status_code == 415
    assert "multipart/form-data" in error_of(answer)["message"]


# Starlette leaves the file of a part that never ended to the garbage collector, which closes it at once.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_multipart_body_without_an_end(http: httpx.Client, spooled: Callable[[], list[str]]) -> None:
    body = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nhalf of it'
    answer = http.post(URL, content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "file"
    assert spooled() == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=b"])
def test_a_multipart_body_that_is_none(http: httpx.Client, content_type: str) -> None:
    answer = http.post(URL, content=b"not multipart", headers={"content-type": content_type})
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_form"


def test_a_wrong_path(http: httpx.Client) -> None:
    answer = http.get("/no/such")
    assert answer.status_code == 404
    assert error_of(answer)["code"] == "not_found"


def test_a_wrong_method(http: httpx.Client) -> None:
    answer = http.get(URL)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert error_of(answer)["code"] == "method_not_allowed"
