"""Requests as clients of many languages spell them, at both services."""

import httpx
import pytest

from tests.api.conftest import Recording, at_once

URL = "/v1/audio/transcriptions"


@pytest.fixture(scope="session")
def clip(recordings: list[Recording]) -> bytes:
    return next(r.path for r in recordings if r.path.match("librivox/*-0880.wav")).read_bytes()


def post(client: httpx.Client, path: str, clip: bytes, **form: str) -> httpx.Response:
    files = {"file": ("sample.wav", clip)}
    # An address that begins with two slashes would be another host's to httpx.
    return client.post(httpx.URL(client.base_url, raw_path=path.encode()), files=files, data=form)


def test_slashes_too_many_change_nothing(services: dict[str, httpx.Client], clip: bytes) -> None:
    def answers(client: httpx.Client) -> list[httpx.Response]:
        return [post(client, path, clip, language="en") for path in (f"{URL}/", f"/{URL}", "/v1//audio/transcriptions")]

    for of_one in at_once(services, answers).values():
        for answer in of_one:
            assert answer.status_code == 200, answer.text
            assert answer.json()["text"]


def test_transcribe_and_jobs_with_a_slash(services: dict[str, httpx.Client], clip: bytes) -> None:
    answer = post(services["whisperx"], "/transcribe/", clip, language="en", align="false")
    assert answer.status_code == 200, answer.text
    for path in ("/jobs/", "/v1/models/"):
        assert services["faster-whisper"].get(path).status_code == 200


def test_arrays_with_an_index(service: httpx.Client, clip: bytes) -> None:
    form = {"response_format": "verbose_json", "timestamp_granularities[0]": "word", "language": "en"}
    answer = post(service, URL, clip, **form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["words"]


def test_languages(services: dict[str, httpx.Client], clip: bytes) -> None:
    def named(client: httpx.Client) -> list[str]:
        spellings = ("en", "en-US", " EN ", "eng", "English")
        answers = [post(client, URL, clip, language=one, response_format="verbose_json") for one in spellings]
        assert [answer.status_code for answer in answers] == [200] * len(spellings)
        return [answer.json()["language"] for answer in answers]

    for languages in at_once(services, named).values():
        assert len(set(languages)) == 1, languages


def test_a_language_that_is_none(service: httpx.Client, clip: bytes) -> None:
    answer = post(service, URL, clip, language="klingon")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "language")


def test_head(service: httpx.Client) -> None:
    assert service.get("/v1/models").status_code == 200, "it runs"
    for path in ("/health", "/ready", "/v1/models", "/jobs"):
        answer = service.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path


def test_unknown_fields_are_named_and_transcripts_are_not_kept_on_the_way(
    services: dict[str, httpx.Client], clip: bytes
) -> None:
    for answer in at_once(services, lambda client: post(client, URL, clip, language="en", user="ann")).values():
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-whisper-ignored-fields"] == "user"
        assert answer.headers["cache-control"] == "no-store"


def test_fields_that_are_refused(service: httpx.Client, clip: bytes) -> None:
    answer = post(service, URL, clip, **{"known_speaker_names[]": "Ann"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "known_speaker_names[]")


def test_jobs_are_not_kept_on_the_way(service: httpx.Client) -> None:
    assert service.get("/jobs").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"audio_file": ("a.wav", b"sound")}, "`audio_file`"),
        ({"file": (None, b"sound")}, "sent as text"),
    ],
)
def test_a_form_without_its_file_is_told_why(
    service: httpx.Client, files: dict[str, tuple[str | None, bytes]], said: str
) -> None:
    answer = service.post(URL, files=files)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content_type", "end", "said"),
    [
        ("multipart/form-data; boundary=b", b"", "last boundary"),
        ("multipart/form-data; boundary=c", b"--b--\r\n", "boundary"),
        ("multipart/form-data", b"--b--\r\n", "no boundary"),
    ],
)
def test_boundaries(service: httpx.Client, content_type: str, end: bytes, said: str) -> None:
    body = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nsound\r\n' + end
    answer = service.post(URL, content=body, headers={"content-type": content_type})
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]["message"]


def test_a_file_name_in_rfc_5987_alone(service: httpx.Client, clip: bytes) -> None:
    head = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve.wav\r\n\r\n"
    answer = service.post(
        URL, content=head + clip + b"\r\n--b--\r\n", headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 200, answer.text
