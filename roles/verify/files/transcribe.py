"""Sends a recording to a transcription service and prints a line of JSON: {"status", "answer", "text", "seconds", …}.

``status`` is the HTTP status, 0 if there was no response at all; ``answer`` the body, or why there was none; ``text``
the transcript; ``speakers`` the speaker of each segment, in order; ``duration`` the recording's length in seconds;
``seconds`` the time from request to response.

A separate program, because ansible.builtin.uri sends files in base64, which servers of `multipart/form-data` do not
decode (RFC 7578, section 4.7). The API key is passed on standard input, where no list of processes shows it.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="URL of the service, without a path")
    parser.add_argument("recording", type=Path, help="an audio file")
    parser.add_argument("--ca-file", default=True, help="CA certificate to trust instead of the system's")
    parser.add_argument("--language", help="ISO 639-1; default: the service detects the language")
    parser.add_argument("--diarize", action="store_true", help="request speaker diarization")
    arguments = parser.parse_args()
    form = {"model": "whisper-1", "response_format": "diarized_json" if arguments.diarize else "verbose_json"}
    if arguments.language:
        form["language"] = arguments.language
    start = time.monotonic()
    result: dict[str, object] = {"status": 0, "text": "", "speakers": [], "duration": 0.0}
    try:
        with arguments.recording.open("rb") as file:
            response = requests.post(
                f"{arguments.url}/v1/audio/transcriptions",
                headers={"Authorization": f"Bearer {sys.stdin.read().strip()}"},
                files={"file": file},
                data=form,
                verify=arguments.ca_file,
                timeout=600,
            )
    except requests.RequestException as error:
        result["answer"] = str(error)
    else:
        result |= {"status": response.status_code, "answer": response.text}
        if response.ok:
            transcript = response.json()
            speakers = [segment["speaker"] for segment in transcript["segments"]] if arguments.diarize else []
            result |= {"text": transcript["text"], "speakers": speakers, "duration": transcript["duration"]}
    json.dump(result | {"seconds": round(time.monotonic() - start, 2)}, sys.stdout)


if __name__ == "__main__":
    main()
