"""Sends recordings to the demo's public endpoints and prints the transcripts, the second one with speaker labels."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]
SPEECH = ROOT / ".cache/speech"
RECORDING = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
CONVERSATION = SPEECH / "pyannote/sample.wav"


class Refused(Exception):
    """A service did not respond with 200; the message has its response."""


def read_env(path: Path) -> dict[str, str]:
    """Read NAME=VALUE lines in shell syntax."""
    lines = (line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}


def entry_of(recording: Path) -> dict[str, Any]:
    """Return what speech.json has on a recording in .cache/speech."""
    entries: list[dict[str, Any]] = json.loads((SPEECH / "speech.json").read_text())
    return next(entry for entry in entries if SPEECH / entry["file"] == recording)


def send(env: dict[str, str], url: str, recording: Path, form: dict[str, str]) -> dict[str, Any]:
    """Send a recording, print the transcript, and return the response.

    Raises:
        Refused: the status was not 200.
    """
    entry = entry_of(recording)
    print(f"\n  {recording.relative_to(ROOT)}, {entry['seconds']:.1f} s, to {url}\n", flush=True)
    start = time.monotonic()
    with recording.open("rb") as file:
        response = requests.post(
            url,
            headers={"Authorization": f"Bearer {env['API_KEY']}"},
            files={"file": file},
            data=form,
            verify=env["CA_FILE"],
            timeout=600,
        )
    wall = time.monotonic() - start
    if response.status_code != requests.codes.ok:
        raise Refused(f"{url} responded with {response.status_code}: {response.text}")
    transcript: dict[str, Any] = response.json()
    for segment in transcript["segments"]:
        speaker = f"{segment['speaker']}: " if "speaker" in segment else ""
        print(f"  {segment['start']:6.2f} to {segment['end']:6.2f} s  {speaker}{segment['text'].strip()}")
    print(f"\n  {wall:.1f} s from request to response: {entry['seconds'] / wall:.1f} times real time", flush=True)
    return transcript


def main() -> int:
    env = read_env(ROOT / ".demo/env")
    try:
        send(
            env,
            f"{env['WHISPER_URL']}/v1/audio/transcriptions",
            RECORDING,
            {"model": "whisper-1", "response_format": "verbose_json"},
        )
        print(f"  reference text: {entry_of(RECORDING)['text']}")
        send(env, f"{env['WHISPERX_URL']}/transcribe", CONVERSATION, {"language": "en", "diarize": "true"})
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1

    print(f"\n  In a browser (user {env['BASIC_USER']}, password in .demo/env):\n")
    print(f"    {env['PORTAL_URL']}\n")
    print("  From a shell:\n")
    print("    . .demo/env")
    print('    curl --cacert "$CA_FILE" -H "Authorization: Bearer $API_KEY" \\')
    print(f'      -F file=@{RECORDING.relative_to(ROOT)} -F model=whisper-1 "$WHISPER_URL/v1/audio/transcriptions"')
    print('    curl --cacert "$CA_FILE" -H "Authorization: Bearer $API_KEY" \\')
    print(f'      -F file=@{CONVERSATION.relative_to(ROOT)} -F diarize=true "$WHISPERX_URL/transcribe"\n')
    print("  Remove it all: make demo-down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
