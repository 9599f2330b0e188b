"""Sends a recording through the demo's public endpoint and shows what a user gets."""

import json
import shlex
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]
SPEECH = ROOT / ".cache/speech"
RECORDING = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"


def read_env(path: Path) -> dict[str, str]:
    """Read NAME=VALUE lines in shell syntax."""
    lines = (line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}


def reference_of(recording: Path) -> str:
    """Return the reference transcript of a recording in .cache/speech."""
    entries = json.loads((SPEECH / "speech.json").read_text())
    return next(str(entry["text"]) for entry in entries if SPEECH / entry["file"] == recording)


def main() -> int:
    env = read_env(ROOT / ".demo/env")
    url = f"{env['WHISPER_URL']}/v1/audio/transcriptions"
    start = time.monotonic()
    with RECORDING.open("rb") as file:
        answer = requests.post(
            url,
            headers={"Authorization": f"Bearer {env['API_KEY']}"},
            files={"file": file},
            data={"model": "whisper-1", "response_format": "verbose_json"},
            verify=env["CA_FILE"],
            timeout=600,
        )
    wall = time.monotonic() - start
    if answer.status_code != requests.codes.ok:
        print(f"{url} answered {answer.status_code}: {answer.text}", file=sys.stderr)
        return 1
    transcript = answer.json()
    shown = RECORDING.relative_to(ROOT)

    print(f"\n  {shown}: {transcript['duration']:.1f} s, language {transcript['language']}\n")
    for segment in transcript["segments"]:
        print(f"  {segment['start']:6.2f} to {segment['end']:6.2f} s  {segment['text'].strip()}")
    print(f"\n  what was read: {reference_of(RECORDING)}")
    print(f"\n  {wall:.1f} s from request to answer: {transcript['duration'] / wall:.1f} times real time\n")
    print(f"  In a browser (user {env['BASIC_USER']}, password in .demo/env): {env['WHISPER_URL']}/docs\n")
    print("  From a shell:\n")
    print("    . .demo/env")
    print('    curl --cacert "$CA_FILE" -H "Authorization: Bearer $API_KEY" \\')
    print(f'      -F file=@{shown} -F model=whisper-1 "$WHISPER_URL/v1/audio/transcriptions"\n')
    print("  Remove it all: make demo-down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
