"""Uploads: streamed to unnamed files on the data volume, counted on the way, gone when the request is."""

import errno
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, get_origin

from fastapi import Request, Response, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.types import Message

from whisper_api.errors import ApiError
from whisper_api.inference_queue import InferenceQueue
from whisper_api.settings import Settings

# Every form here has a dozen short fields; a prompt is the longest.
_MAX_FIELDS = 50
_MAX_FIELD_BYTES = 64 * 1024
_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")


def spool_in(folder: Path) -> None:
    """Makes uploads go to `folder`. Raises OSError when it cannot be made or written.

    Starlette's form parser asks `tempfile` for its files and takes no folder. They have no name (O_TMPFILE), so nothing
    is left behind even by a crash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(folder)
    with tempfile.TemporaryFile():
        pass


def path_of(upload: UploadFile) -> Path:
    """A path under which any thread of this process can open an upload, for as long as the request lasts.

    Raises ApiError 400 for an empty file.
    """
    if not upload.size:
        raise ApiError(400, "The file is empty. Upload a recording.", param="file", code="empty_file")
    # fileno() moves what was small enough to stay in memory to the disk.
    return Path(f"/proc/self/fd/{upload.file.fileno()}")


class UploadRoute(APIRoute):
    """A route that takes a form with one file, and refuses it before or while reading where it can."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        fields = self._fields()

        async def receive_upload(request: Request) -> Response:
            settings: Settings = request.app.state.settings
            queue: InferenceQueue = request.app.state.queue
            _refuse_other_content(request)
            queue.refuse_if_full()
            limited = _limited(request, settings.upload_limit)
            try:
                # FastAPI asks for the form too and gets this one; its own way would answer 400 to a full disk.
                form = await limited.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES)
            except ApiError:
                raise
            except HTTPException as error:
                # Starlette's: too many parts, too long a part, no boundary.
                raise ApiError(400, f"The form cannot be read: {error.detail}", code="invalid_form") from error
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                message = "The server has no disk space left for this upload. Try again later."
                raise ApiError(503, message, param="file", code="no_space", retry_after=60) from error
            try:
                _refuse_repeated(form, fields)
                if isinstance(form.get("file"), str):
                    message = "`file` was sent as text. Send it as a file, with a file name."
                    raise ApiError(400, message, param="file", code="invalid_parameter")
                return await handler(limited)
            finally:
                await limited.close()

        return receive_upload

    def _fields(self) -> frozenset[str]:
        """Names of the form's fields that are no lists. FastAPI has made a pydantic model of them."""
        model = self.body_field.field_info.annotation if self.body_field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return frozenset()
        return frozenset(
            info.alias or name for name, info in model.model_fields.items() if get_origin(info.annotation) is not list
        )


def _refuse_other_content(request: Request) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type and content_type not in _FORM_TYPES:
        message = f"Send the parameters as multipart/form-data, not as {content_type[:100]}."
        raise ApiError(415, message, code="unsupported_media_type")


def _refuse_repeated(form: FormData, fields: frozenset[str]) -> None:
    """A field sent twice would mean whichever value a library happens to take."""
    for name, times in Counter(name for name, _ in form.multi_items() if name in fields).items():
        if times > 1:
            message = f"`{name}` was sent {times} times. Send it once."
            raise ApiError(400, message, param=name, code="duplicate_parameter")


def _limited(request: Request, max_bytes: int) -> Request:
    """The same request, whose reading raises ApiError 413 as soon as its body is known to exceed the limit."""
    too_large = ApiError(
        413,
        f"The request exceeds the limit of {max_bytes} bytes. Send less, or compress the audio (mp3, opus).",
        param="file",
        code="upload_too_large",
    )
    announced = request.headers.get("content-length", "")
    received = 0

    async def receive() -> Message:
        nonlocal received
        if announced.isdecimal() and int(announced) > max_bytes:
            raise too_large
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise too_large
        return message

    return Request(request.scope, receive)
