"""WhisperX beside faster-whisper, called as the guide's client does."""

import requests

from tests.api.conftest import SPEECH, Demo

CONVERSATION = SPEECH / "pyannote/sample.wav"


def test_the_client_of_the_guide_is_told_who_speaks(demo: Demo) -> None:
    url = f"{demo.whisperx_url}/transcribe"
    with CONVERSATION.open("rb") as f:
        response = requests.post(
            url,
            files={"file": f},
            data={"model": "base", "language": "en", "diarize": "true"},
            auth=(demo.user, demo.password),
            verify=demo.ca_file,
            timeout=300,
        )
    assert response.status_code == 200, response.text
    said: dict[str, list[str]] = {}
    for segment in response.json()["segments"]:
        said.setdefault(segment["speaker"], []).append(segment["text"])
    assert len(said.keys() - {"UNKNOWN"}) == 2
    assert sum("New Jersey" in text for texts in said.values() for text in texts) > 0


def test_each_service_is_asked_by_its_own_name(demo: Demo) -> None:
    def status(url: str) -> int:
        """Of a form without a file."""
        return requests.post(
            f"{url}/transcribe", headers={"Authorization": f"Bearer {demo.key}"}, verify=demo.ca_file, timeout=60
        ).status_code

    assert status(demo.whisperx_url) == 400
    assert status(demo.url) == 404
