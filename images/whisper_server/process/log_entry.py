"""What the log says of a transcription; never its text, never a token.

`real_time_factor` is seconds of audio per second of engine time: 10 means ten times faster than real time.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_logger = logging.getLogger("whisper_server")


@dataclass
class Entry:
    """The log line of one request or job."""

    request_id: str
    model: str | None = None
    audio_seconds: float | None = None
    engine_seconds: float | None = None
    ignored_fields: Sequence[str] = ()

    def work(self) -> dict[str, Any]:
        """The fields of the line that are known, without the request id."""
        line: dict[str, Any] = {}
        if self.ignored_fields:
            line["ignored_fields"] = list(self.ignored_fields)
        if self.model is not None:
            line["model"] = self.model
        if self.audio_seconds is not None and self.engine_seconds:
            line["audio_seconds"] = round(self.audio_seconds, 3)
            line["engine_seconds"] = round(self.engine_seconds, 3)
            line["real_time_factor"] = round(self.audio_seconds / self.engine_seconds, 1)
        return line


def write_job(job_id: str, status: str, entry: Entry, failure: Exception | None = None) -> None:
    """Writes the line of a job that has ended; `failure` is an unexpected error."""
    line = {"request_id": entry.request_id, "job": job_id, "status": status, **entry.work()}
    _logger.log(logging.ERROR if failure else logging.INFO, "job", extra={"line": line}, exc_info=failure)
