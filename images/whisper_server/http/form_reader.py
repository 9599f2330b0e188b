"""Parses multipart forms with little memory, and with messages that say what is wrong with one."""

import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from whisper_server.http.errors import ApiError

# Forms have a dozen short fields; the longest is a prompt.
_MAX_FIELDS = 50
_MAX_FIELD_BYTES = 64 * 1024
_MAX_TEXT_BYTES = 256 * 1024

_FORM_TYPE = "multipart/form-data"
# Clients use no others, and some of Python's fail or are slow by design (`undefined`, `punycode`).
_CHARSETS = ("utf-8", "utf8", "us-ascii", "iso-8859-1")
_LET_THE_LIBRARY = "Let the HTTP library write the Content-Type header, for it chooses the boundary."

# RFC 5987's spelling of a file name. RFC 7578 forbids it in forms, and clients use it for names beyond ASCII.
_EXTENDED_FILE_NAME = re.compile(rb";\s*filename\*[^=;]*=", re.IGNORECASE)
_PLAIN_FILE_NAME = re.compile(rb";\s*filename\s*=", re.IGNORECASE)

# OpenAI's arrays: with brackets, with an index in them (PHP, Dart, Kotlin, JavaScript), or without.
_ARRAY = re.compile(r"(timestamp_granularities|include|known_speaker_names|known_speaker_references)(\[\d*\])?")

# Fields that OpenAI's models support and no engine here.
_UNSUPPORTED = {
    "known_speaker_names[]": "This server cannot name speakers. Leave known_speaker_names[] out.",
    "known_speaker_references[]": "This server cannot recognize voices. Leave known_speaker_references[] out.",
}

# How much of the client's text a response repeats.
_MOST_NAMES = 10
_LONGEST_NAME = 40

# It logs each malformed form in a line that is not JSON; the response and the request's log line suffice.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


async def read(request: Request) -> FormData:
    """The form of a request, with the names that OpenAI uses. Raises ApiError, and OSError for a full disk."""
    _refuse_other_content(request)
    async with aclosing(request.stream()) as stream:
        parser = _Parser(request.headers, stream)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise ApiError(400, _malformed(parser, error), code="invalid_form") from error
    if not parser.ended:
        parser.close()
        raise ApiError(400, _truncated(parser), param="file", code="missing_parameter")
    return FormData([(_canonical(name), value) for name, value in form.multi_items()])


def refuse_unsupported(form: FormData) -> None:
    """Raises ApiError 400 for a field of OpenAI's that would change the response and is not supported here."""
    for name, message in _UNSUPPORTED.items():
        if any(form.getlist(name)):
            raise ApiError(400, message, param=name, code="unsupported_option")


def shown(names: Sequence[str]) -> list[str]:
    """Field names, made safe for headers, logs and messages: a client may choose any name."""
    plain = [re.sub(r"[^\w.\[\]-]", "?", name, flags=re.ASCII)[:_LONGEST_NAME] or "?" for name in dict.fromkeys(names)]
    more = ["..."] if len(plain) > _MOST_NAMES else []
    return plain[:_MOST_NAMES] + more


class _Parser(MultiPartParser):
    # Larger files are written to disk: many slow uploads must not exhaust memory.
    spool_max_size = 64 * 1024

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers, stream, max_files=2, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES)
        self._text_bytes = 0
        self._file_names: list[str] = []
        self.begun = False
        self.ended = False

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self.begun = True

    def on_headers_finished(self) -> None:
        part = self._current_part
        given = part.content_disposition or b""
        if _EXTENDED_FILE_NAME.search(given) and not _PLAIN_FILE_NAME.search(given):
            part.content_disposition = given + b'; filename="file"'
        super().on_headers_finished()
        self._count_text(len(part.field_name))
        if part.file is not None:
            self._file_names.append(part.field_name)
            if len(self._file_names) > 1:
                names = " and ".join(f"`{name}`" for name in shown(self._file_names))
                message = f"More than one file was sent ({names}). Send one recording with each request, as `file`."
                raise ApiError(400, message, param="file", code="invalid_form")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None:
            if part.field_name == "file" and len(part.data) + end - start > self.max_part_size:
                raise sent_as_text()
            self._count_text(end - start)
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        """Closes the files of an incomplete form."""
        for file in self._files_to_close_on_error:
            file.close()

    def _count_text(self, size: int) -> None:
        self._text_bytes += size
        if self._text_bytes > _MAX_TEXT_BYTES:
            raise MultiPartException(f"The text fields have more than {_MAX_TEXT_BYTES // 1024} KB together.")


def sent_as_text() -> ApiError:
    """The error for a recording that was sent as a text field."""
    message = "`file` was sent as text. Send it as a file, with a file name."
    return ApiError(400, message, param="file", code="invalid_parameter")


def missing_file(form: FormData) -> ApiError:
    """The error for a form without `file`; it lists the fields that the form has."""
    names = shown([name for name, _ in form.multi_items()])
    has = f"The form has {', '.join(f'`{name}`' for name in names)}." if names else "The form is empty."
    files = shown([name for name, value in form.multi_items() if not isinstance(value, str)])
    advice = f" Send the recording as `file` instead of `{files[0]}`." if files else ""
    message = f"`file` is required and was not sent. {has}{advice}"
    return ApiError(400, message, param="file", code="missing_parameter")


def _refuse_other_content(request: Request) -> None:
    given, options = parse_options_header(request.headers.get("content-type", ""))
    content_type = given.decode("latin-1").strip()
    if content_type == _FORM_TYPE:
        if options.get(b"charset", b"utf-8").decode("latin-1").lower() not in _CHARSETS:
            raise ApiError(400, "The form's charset is not supported. Send UTF-8.", code="invalid_form")
        return
    if content_type not in ("", "application/x-www-form-urlencoded"):
        message = f"Send the parameters as {_FORM_TYPE}, not as {content_type[:100]}."
        raise ApiError(415, message, code="unsupported_media_type")
    found = f"{content_type} cannot contain a file" if content_type else "the request has no Content-Type header"
    message = f"`file` is required and was not sent: {found}. Send the parameters as {_FORM_TYPE}. {_LET_THE_LIBRARY}"
    raise ApiError(400, message, param="file", code="missing_parameter")


def _malformed(parser: _Parser, error: MultiPartException) -> str:
    """Explains why Starlette's parser rejected a form."""
    if "Missing boundary" in error.message:
        return f"The Content-Type header states no boundary. {_LET_THE_LIBRARY}"
    if error.__cause__ is None:
        return f"The form cannot be read: {error.message}"
    if not parser.begun:
        return f"The form does not begin with the boundary that the Content-Type header states. {_LET_THE_LIBRARY}"
    return f"The form cannot be read: {str(error.__cause__)[:200]}. Write it with an HTTP library."


def _truncated(parser: _Parser) -> str:
    """Explains why the last boundary of a form was not found."""
    if not parser.begun:
        return f"`file` is required and was not sent: the form is empty, or its boundary is another. {_LET_THE_LIBRARY}"
    return (
        "The form ends before its last boundary: it was truncated, or the Content-Type header states another boundary. "
        f"Send the complete form. {_LET_THE_LIBRARY}"
    )


def _canonical(name: str) -> str:
    array = _ARRAY.fullmatch(name)
    return f"{array[1]}[]" if array else name
