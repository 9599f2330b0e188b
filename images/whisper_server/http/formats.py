"""A finished transcript in every response format, by the format's name."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal

from fastapi.responses import Response

from whisper_server.http import text_formats
from whisper_server.http.json_pieces import Granularity
from whisper_server.http.openai import formats as openai_formats
from whisper_server.http.whisperx import formats as whisperx_formats
from whisper_server.speech.transcript import Transcript

# `segments` is the JSON of `POST /transcribe`.
Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json", "segments", "txt", "tsv"]

_JSON: dict[str, Callable[[Transcript, Collection[Granularity]], Iterator[str]]] = {
    **openai_formats.RENDERERS,
    **whisperx_formats.RENDERERS,
}
_MEDIA_TYPES = {"vtt": "text/vtt", "tsv": "text/tab-separated-values"}


def is_json(response_format: Format) -> bool:
    """Whether `render` returns a JSON object."""
    return response_format in _JSON


def render(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> str:
    """A transcript as a JSON object, or as text; 12 hours take a second."""
    return "".join(pieces(transcript, response_format, granularities))


def pieces(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> Iterable[str]:
    """The result of `render` in pieces."""
    if response_format in _JSON:
        return _JSON[response_format](transcript, granularities)
    return (text_formats.RENDERERS[response_format](transcript),)


def response(transcript: Transcript, response_format: Format, granularities: Collection[Granularity]) -> Response:
    """The HTTP response with the result of `render`. Blocks: not for the event loop's thread."""
    media_type = "application/json" if is_json(response_format) else _MEDIA_TYPES.get(response_format, "text/plain")
    rendered = Response(render(transcript, response_format, granularities), media_type=media_type)
    add_shortened(rendered, transcript.shortened)
    return rendered


def add_shortened(to: Response, fields: Sequence[str] | None) -> None:
    """Adds a header with the form fields that were not used in full, if there are any."""
    if fields:
        to.headers["x-whisper-shortened"] = ", ".join(fields)
