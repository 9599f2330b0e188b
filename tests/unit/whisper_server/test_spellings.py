"""Requests as clients spell them, at both servers."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from tests.unit.whisper_server.conftest import eventually, serving
from tests.unit.whisper_server.scripted_engine import MODEL, ScriptedEngine
from tests.unit.whisper_server.sound import AUDIO, FILE
from whisper_server.http.app import create_app
from whisper_server.http.openai import routes as openai
from whisper_server.http.whisperx import routes as whisperx
from whisper_server.process.settings import Settings
from whisper_server.speech.languages import language_code

SERVERS = {
    "faster-whisper": (openai.transcriptions, openai.translations),
    "whisperx": (whisperx.router, openai.diarized_transcriptions, openai.translations),
}
URL = "/v1/audio/transcriptions"
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


@pytest.fixture
def engine() -> ScriptedEngine:
    engine = ScriptedEngine()
    engine.languages = frozenset(_LANGUAGE_CODES)
    return engine


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def http(server: str, engine: ScriptedEngine, settings: Settings) -> Iterator[httpx.Client]:
    app = create_app(engine, settings, title="test", audio=SERVERS[server])
    with serving(engine, settings, app) as client:
        yield client


@pytest.fixture
def forms(server: str) -> list[str]:
    """Addresses that take a recording to be transcribed."""
    return [URL, "/transcribe"] if server == "whisperx" else [URL]


def part(head: str, content: bytes = AUDIO) -> bytes:
    return f"--b\r\ncontent-disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


def refused(answer: httpx.Response, param: str | None, code: str) -> str:
    """The message of a refusal, 400 with OpenAI's error object."""
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["param"], error["code"]) == (param, code), error
    return str(error["message"])


@pytest.mark.parametrize("code", sorted(_LANGUAGE_CODES))
def test_every_language_of_whisper_is_itself(code: str) -> None:
    assert language_code(code, _LANGUAGE_CODES) == code


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *[(given, None) for given in ("", "  ", "auto", "AUTO", " Auto ")],
        *[(given, "en") for given in ("EN", " en ", "en-US", "en_GB", "eng", "English", "ENGLISH", "en-Latn-US-x-a")],
        *[(given, "pt") for given in ("pt-BR", "pt_BR", "por", "Portuguese")],
        *[(given, "de") for given in ("deu", "ger", "de-CH-1996", "German")],
        *[(given, "fr") for given in ("fra", "fre", "fr-CA", "French")],
        *[(given, "zh") for given in ("zh-Hant", "zh-CN", "zh_TW", "zho", "chi", "cmn", "zh-cmn-Hans", "Mandarin")],
        *[(given, "yue") for given in ("yue", "zh-yue", "zh-yue-HK", "yue-Hant-HK", "Cantonese")],
        *[(given, "no") for given in ("nb", "nb-NO", "nob", "nor", "Norwegian", "Bokmål")],
        *[(given, "nn") for given in ("nn-NO", "nno", "Nynorsk")],
        *[(given, "jw") for given in ("jv", "jav", "jw", "Javanese", "jv-ID")],
        *[(given, "he") for given in ("iw", "heb", "he-IL")],
        *[(given, "id") for given in ("in", "ind", "id-ID")],
        *[(given, "tl") for given in ("fil", "fil-PH", "Tagalog")],
        *[(given, "ht") for given in ("Haitian Creole", "haitian_creole", "hat")],
        *[(given, "es") for given in ("es-419", "spa", "Castilian")],
    ],
)
def test_languages(given: str, expected: str | None) -> None:
    assert language_code(given, _LANGUAGE_CODES) == expected


@pytest.mark.parametrize(
    "given",
    ["xx", "tlh", "klingon", "en-", "-en", "english-us", "e", "en,fr", "eń", "0", "en;q=1"],
)
def test_what_is_no_language(given: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        language_code(given, _LANGUAGE_CODES)


def test_a_language_that_the_engine_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown"):
        language_code("German", {"en", "fr"})


def test_languages_reach_the_engine(http: httpx.Client, engine: ScriptedEngine, forms: list[str]) -> None:
    for url in forms:
        for given in ("pt-BR", "jpn", " Norwegian ", "auto", ""):
            assert http.post(url, files=FILE, data={"language": given}).status_code == 200
        assert [options.language for options in engine.asked] == ["pt", "ja", "no", None, None]
        engine.asked.clear()
        message = refused(http.post(url, files=FILE, data={"language": "klingon"}), "language", "unsupported_option")
        assert "klingon" in message


@pytest.mark.parametrize("name", ["[0]", "[7]", "[]", ""])
def test_arrays(http: httpx.Client, name: str) -> None:
    form = {"response_format": "verbose_json", f"timestamp_granularities{name}": "word"}
    answer = http.post(URL, files=FILE, data=form)
    assert answer.status_code == 200
    assert [word["word"] for word in answer.json()["words"]] == ["Good", "morning.", "Fine", "day."]
    refused(http.post(URL, files=FILE, data={f"include{name}": "logprobs"}), "include[]", "unsupported_option")


def test_arrays_with_an_index_for_each_item(http: httpx.Client) -> None:
    form = {
        "response_format": "verbose_json",
        "timestamp_granularities[0]": "segment",
        "timestamp_granularities[1]": "word",
    }
    answer = http.post(URL, files=FILE, data=form).json()
    assert len(answer["words"]) == 4
    assert len(answer["segments"]) == 2
    form["timestamp_granularities[1]"] = "letter"
    refused(http.post(URL, files=FILE, data=form), "timestamp_granularities[]", "invalid_parameter")


@pytest.mark.parametrize("name", ["known_speaker_names[]", "known_speaker_names[0]", "known_speaker_references"])
def test_fields_of_openai_s_that_cannot_be_honoured(http: httpx.Client, forms: list[str], name: str) -> None:
    canonical = name.partition("[")[0] + "[]"
    for url in forms:
        assert canonical in refused(http.post(url, files=FILE, data={name: "Ann"}), canonical, "unsupported_option")
        assert http.post(url, files=FILE, data={name: ""}).status_code == 200


def test_unknown_fields_are_named(
    http: httpx.Client, forms: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("whisper_server"), "propagate", True)
    for url in forms:
        caplog.clear()
        answer = http.post(url, files=FILE, data={"model": MODEL, "user": "ann", "word_timestamp": "true"})
        assert answer.status_code == 200
        assert answer.headers["x-whisper-ignored-fields"] == "user, word_timestamp"
        assert eventually(lambda: any(hasattr(record, "line") for record in caplog.records))
        lines = [vars(record)["line"] for record in caplog.records if hasattr(record, "line")]
        assert {tuple(line["ignored_fields"]) for line in lines} == {("user", "word_timestamp")}
        assert '"ann"' not in json.dumps(lines)
    assert "x-whisper-ignored-fields" not in http.post(URL, files=FILE, data={"model": MODEL}).headers


@pytest.mark.parametrize("extra", [{"stream": "true"}, {"prefer": "respond-async"}])
def test_unknown_fields_are_named_in_streams_and_for_jobs(http: httpx.Client, extra: dict[str, str]) -> None:
    form = {"user": "ann", **{name: value for name, value in extra.items() if name == "stream"}}
    headers = {name: value for name, value in extra.items() if name == "prefer"}
    answer = http.post(URL, files=FILE, data=form, headers=headers)
    assert answer.is_success
    assert answer.headers["x-whisper-ignored-fields"] == "user"


def test_names_of_unknown_fields_cannot_do_harm(http: httpx.Client) -> None:
    names = ["a\r\nx-evil: 1", "é<script>", "x" * 3000, *[f"n{number}" for number in range(30)]]
    answer = http.post(URL, files=FILE, data=dict.fromkeys(names, "1"))
    assert answer.status_code == 200
    header = answer.headers["x-whisper-ignored-fields"]
    assert "x-evil" not in answer.headers
    assert re.fullmatch(r"[\w.\[\]?, %-]+", header, re.ASCII)
    assert len(header) < 500
    assert header.endswith(", ...")


def test_a_file_name_in_rfc_5987_alone(http: httpx.Client, forms: list[str]) -> None:
    for url in forms:
        body = part("name=\"file\"; filename*=UTF-8''na%C3%AFve.wav") + b"--b--\r\n"
        assert http.post(url, content=body, headers=MULTIPART).status_code == 200
        body = part("name=file; FileName*=utf-8'en'a.wav") + b"--b--\r\n"
        assert http.post(url, content=body, headers=MULTIPART).status_code == 200


def test_forms_that_are_not_whole(http: httpx.Client, engine: ScriptedEngine, forms: list[str]) -> None:
    file = part('name="file"; filename="a.wav"')
    bodies = [file[:-100], file, file + b"--b\r\n", file + part('name="language"', b"f")[:-3]]
    for url in forms:
        for body in bodies:
            answer = http.post(url, content=body, headers=MULTIPART)
            assert "last boundary" in refused(answer, "file", "missing_parameter")
    assert engine.asked == []
    assert http.post(URL, content=file + b"--b--", headers=MULTIPART).status_code == 200


def test_malformed_forms_write_no_lines_of_their_own(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    http.post(URL, content=b"--c\r\nx", headers=MULTIPART)
    assert [record.name for record in caplog.records if record.name.startswith("python_multipart")] == []


def test_boundaries(http: httpx.Client, forms: list[str]) -> None:
    body = part('name="file"; filename="a.wav"') + b"--b--\r\n"
    for url in forms:
        answer = http.post(url, content=body, headers={"content-type": "multipart/form-data; boundary=c"})
        assert "does not begin with the boundary" in refused(answer, None, "invalid_form")
        answer = http.post(url, content=body, headers={"content-type": "multipart/form-data"})
        assert "states no boundary" in refused(answer, None, "invalid_form")
        answer = http.post(url, content=body)
        assert "no Content-Type" in refused(answer, "file", "missing_parameter")
        answer = http.post(url, content=b"", headers=MULTIPART)
        assert "the form is empty" in refused(answer, "file", "missing_parameter")
        answer = http.post(url, data={"file": "a.wav"})
        assert "cannot contain a file" in refused(answer, "file", "missing_parameter")


@pytest.mark.parametrize(("charset", "status"), [("utf-8", 200), ("UTF-8", 200), ("undefined", 400), ("punycode", 400)])
def test_charsets(http: httpx.Client, forms: list[str], charset: str, status: int) -> None:
    body = part('name="language"', b"fr") + part('name="file"; filename="a.wav"') + b"--b--\r\n"
    for url in forms:
        headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
        assert http.post(url, content=body, headers=headers).status_code == status


def test_files_under_other_names(http: httpx.Client, forms: list[str]) -> None:
    for url in forms:
        answer = http.post(url, files={"audio_file": ("a.wav", AUDIO)}, data={"model": MODEL})
        message = refused(answer, "file", "missing_parameter")
        assert "`audio_file`" in message
        assert "instead of `audio_file`" in message
        answer = http.post(url, files=[("file", ("a.wav", AUDIO)), ("file", ("b.wav", AUDIO))])
        assert "`file`" in refused(answer, "file", "invalid_form")
        answer = http.post(url, files=[("audio", ("a.wav", AUDIO)), ("file", ("b.wav", AUDIO))])
        assert "`audio` and `file`" in refused(answer, "file", "invalid_form")


def test_a_recording_without_a_file_name(http: httpx.Client) -> None:
    for content in (b"short", bytes(200_000)):
        answer = http.post(URL, content=part('name="file"', content) + b"--b--\r\n", headers=MULTIPART)
        assert "sent as text" in refused(answer, "file", "invalid_parameter")


def test_tracks(http: httpx.Client, engine: ScriptedEngine, forms: list[str]) -> None:
    for url in [*forms, "/v1/audio/translations"]:
        engine.asked.clear()
        for form in ({"track": "1"}, {"track": ""}, {}):
            assert http.post(url, files=FILE, data=form).status_code == 200
        assert [options.track for options in engine.asked] == [1, None, None]
        message = refused(http.post(url, files=FILE, data={"track": "2"}), "track", "unsupported_option")
        assert "one audio track" in message
        for wrong in ("0", "-1", "first", "1.5", "9" * 5000):
            refused(http.post(url, files=FILE, data={"track": wrong}), "track", "invalid_parameter")


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/busy", "/metrics", "/v1/models", f"/v1/models/{MODEL}", "/jobs", "/docs"]
)
def test_head_is_get_without_a_body(http: httpx.Client, path: str) -> None:
    assert eventually(lambda: http.get("/ready").status_code == 200)
    answer, whole = http.head(path), http.get(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == whole.headers["content-type"]
    if path != "/metrics":
        assert answer.headers["content-length"] == str(len(whole.content))
    assert http.head(f"{path}/no/such").status_code == 404


def test_head_where_there_is_no_get(http: httpx.Client) -> None:
    answer = http.head(URL)
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", "POST")


def test_slashes_too_many(http: httpx.Client, forms: list[str]) -> None:
    for url in [*forms, "/v1/audio/translations"]:
        for path in (f"{url}/", f"/{url}", url.replace("/", "//"), f"{url}//"):
            # An address that begins with two slashes would be another host's to httpx.
            answer = http.post(httpx.URL(http.base_url, raw_path=path.encode()), files=FILE)
            assert answer.status_code == 200, path
            assert not answer.history
    job = http.post(f"{URL}/", files=FILE, headers={"prefer": "respond-async"}).json()["id"]
    paths = ("/jobs/", f"/jobs/{job}/", "//jobs", "/v1/models/", "//v1/models", f"/v1/models/{MODEL}/", "/health/")
    for path in paths:
        answer = http.get(httpx.URL(http.base_url, raw_path=path.encode()))
        assert answer.status_code == 200, path
    assert http.delete(f"/jobs/{job}/").status_code == 200


@pytest.mark.parametrize("path", ["/nowhere/", "/v1/audio/", "/", "//", "//evil.example/", "/docs/assets/", "//a.b"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_redirected(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, httpx.URL(http.base_url, raw_path=path.encode()), headers={"host": "evil.example"})
    assert answer.status_code in (404, 405)
    assert "location" not in answer.headers


def test_the_page_of_the_api_works_with_a_slash(http: httpx.Client) -> None:
    for path in ("/docs", "/docs/"):
        page = http.get(path)
        assert page.status_code == 200
        addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
        assert len(addresses) == 4
        for address in ("".join(found) for found in addresses):
            assert http.get(page.url.join(address)).status_code == 200, address


def test_nobody_keeps_transcripts_and_jobs(http: httpx.Client, forms: list[str]) -> None:
    job = http.post(URL, files=FILE, headers={"prefer": "respond-async"})
    answers = [http.post(url, files=FILE) for url in forms]
    answers += [http.post(URL, files=FILE, data=form) for form in ({"stream": "true"}, {"response_format": "text"})]
    answers += [job, http.get("/jobs"), http.get(job.headers["location"]), http.get("/jobs/nope"), http.post(URL)]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
