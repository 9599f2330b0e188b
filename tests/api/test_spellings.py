"""Requests as clients of many languages spell them, at both services."""

import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import Demo, Recording

URL = "/v1/audio/transcriptions"


@pytest.fixture(params=["faster-whisper", "whisperx"])
def service(request: pytest.FixtureRequest, demo: Demo, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    """A client of one of the services, with an API key."""
    url = demo.url if request.param == "faster-whisper" else demo.whisperx_url
    headers = {"Authorization": f"Bearer {demo.key}"}
    with httpx.Client(base_url=url, verify=trust, headers=headers, timeout=300) as client:
        yield client


@pytest.fixture(scope="session")
def clip(recordings: list[Recording]) -> bytes:
    return next(r.path for r in recordings if r.path.match("librivox/*-0880.wav")).read_bytes()


def post(client: httpx.Client, path: str, clip: bytes, **form: str) -> httpx.Response:
    files = {"file": ("sample.wav", clip)}
    # An address that begins with two slashes would be another host's to httpx.
    return client.post(httpx.URL(client.base_url, raw_path=path.encode()), files=files, data=form)


@pytest.mark.parametrize("path", [f"{URL}/", f"/{URL}", "/v1//audio/transcriptions"])
def test_slashes_too_many_change_nothing(service: httpx.Client, clip: bytes, path: str) -> None:
    answer = post(service, path, clip, language="en")
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"]


def test_transcribe_and_jobs_with_a_slash(demo: Demo, http: httpx.Client, clip: bytes) -> None:
    answer = httpx.post(
        f"{demo.whisperx_url}/transcribe/",
        files={"file": ("sample.wav", clip)},
        data={"language": "en", "align": "false"},
        headers={"Authorization": f"Bearer {demo.key}"},
        verify=ssl.create_default_context(cafile=demo.ca_file),
        timeout=300,
    )
    assert answer.status_code == 200, answer.text
    for path in ("/jobs/", "/v1/models/"):
        assert http.get(path).status_code == 200


def test_arrays_with_an_index(service: httpx.Client, clip: bytes) -> None:
    form = {"response_format": "verbose_json", "timestamp_granularities[0]": "word", "language": "en"}
    answer = post(service, URL, clip, **form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["words"]


@pytest.mark.parametrize("language", ["en-US", " EN ", "eng", "English"])
def test_languages(service: httpx.Client, clip: bytes, language: str) -> None:
    answer = post(service, URL, clip, language=language, response_format="verbose_json")
    assert answer.status_code == 200, answer.text
    assert (
        answer.json()["language"]
        == post(service, URL, clip, language="en", response_format="verbose_json").json()["language"]
    )


def test_a_language_that_is_none(service: httpx.Client, clip: bytes) -> None:
    answer = post(service, URL, clip, language="klingon")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "language")


def test_head(service: httpx.Client, clip: bytes) -> None:
    assert post(service, URL, clip, language="en").status_code == 200, "it runs"
    for path in ("/health", "/ready", "/v1/models", "/jobs"):
        answer = service.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path


def test_unknown_fields_are_named(service: httpx.Client, clip: bytes) -> None:
    answer = post(service, URL, clip, language="en", user="ann")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-whisper-ignored-fields"] == "user"
    answer = post(service, URL, clip, **{"known_speaker_names[]": "Ann"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "known_speaker_names[]")


def test_transcripts_and_jobs_are_not_kept_on_the_way(service: httpx.Client, clip: bytes) -> None:
    assert post(service, URL, clip, language="en").headers["cache-control"] == "no-store"
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
