"""Writes the README of the faster-whisper server, whose table of settings is made from the settings class itself."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "images" / "whisper_faster" / "README.md"

_TEXT = """\
# The faster-whisper server

OpenAI's transcription API, served by faster-whisper (CTranslate2): `uvicorn server:app`. `/docs` describes every
request; this page, what an operator has to know.

- Requests: one inference at a time, a bounded number waiting (`429` with `Retry-After` above it). A client that goes
  away frees the engine at its next segment.
- Jobs: a request with `Prefer: respond-async` is answered `202` with the `Location` of a job, which is done when no
  request runs or waits. Jobs survive a restart: one that was under way begins anew, at once after an orderly stop,
  after 30 s otherwise. A client sees the jobs of the name that its proxy gives in `X-Remote-User`, all of them where
  there is no such header: the proxy must always set it.
- `GET /busy` says how much work a stop would cut short: `{"busy": 2, "requests": 1, "jobs": 1}`. `GET /metrics` is for
  Prometheus.
- Models: clients use those on the machine, and may have those fetched that the operator allows. `DELETE` unloads; with
  `?files=true` it deletes the files of a model that could be fetched again. With `HF_HUB_OFFLINE=1` the hub is never
  asked.
- Memory: models are dropped, least recently used first, when another would not fit into the container's limit.
  Recordings are decoded to the disk (115 MB an hour) and transcribed five minutes at a time, so that their length costs
  no memory.
- Several servers can share jobs: give them the same `WHISPER__JOB_STORE` on Redis, and the same `WHISPER__DATA_FOLDER`
  on a shared volume. Whoever can write to that Redis can run code in the servers, for huey's messages are pickles: keep
  it private.
- GPU: `WHISPER__INFERENCE_DEVICE=cuda` on an image with CUDA 12's cuBLAS and cuDNN 9. No GPU was there to run it.

## Settings

Environment variables. `UVICORN_HOST`, `UVICORN_PORT` and the other `UVICORN_…` names are uvicorn's own, `HF_HOME`,
`HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN` huggingface_hub's.

| variable | default | meaning |
|---|---|---|
%s

<!-- Written by `python -m tools.server_readme` from images/whisper_api/settings.py. -->
"""


def readme() -> str:
    """Return what the README has to be."""
    sys.path.insert(0, str(ROOT / "images"))
    from whisper_api.settings import Settings

    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = f"`{default}`" if default not in ("", []) else ""
        description = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `WHISPER__{name.upper()}` | {shown} | {description} |")
    return _TEXT % "\n".join(rows)


def main() -> None:
    """Write the README unless it is right, and say so."""
    if not README.exists() or README.read_text(encoding="utf-8") != readme():
        README.write_text(readme(), encoding="utf-8")
        print(f"written: {README.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
