"""Uploads: streamed to unnamed files on the data volume, limited on the way, and freed with the request."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, get_origin

from fastapi import Request, Response, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import FormData

from whisper_server.http import form_reader
from whisper_server.http.errors import ApiError
from whisper_server.http.request_log import entry_of
from whisper_server.http.upload_limits import LimitedBody, UploadPlaces
from whisper_server.work.inference_queue import InferenceQueue


class HeldUpload:
    """A file descriptor of an upload that is owned by the work on it.

    The request's own is closed with the request, and its number is reused by the next upload. Work that outlives its
    request (a stream, or a client that disconnected) would read another client's recording.

    Raises ApiError 400 for an empty file.
    """

    def __init__(self, upload: UploadFile) -> None:
        self._lock = threading.Lock()
        self._descriptor = -1
        if not upload.size:
            raise ApiError(400, "The file is empty. Upload a recording.", param="file", code="empty_file")
        # fileno() writes an upload that was small enough for memory to disk.
        self._descriptor = os.dup(upload.file.fileno())

    @property
    def path(self) -> Path:
        """A path under which any thread of this process can open the upload until it is closed."""
        return Path(f"/proc/self/fd/{self._descriptor}")

    def discard(self) -> None:
        """Frees the upload's disk space when the result is no longer wanted. The path is an empty file from now on."""
        with self._lock, Path(os.devnull).open() as nothing:
            if self._descriptor >= 0:
                os.dup2(nothing.fileno(), self._descriptor, inheritable=False)

    def close(self) -> None:
        """Closes the descriptor; may be called more than once."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def __enter__(self) -> "HeldUpload":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Work that was cancelled before it started does not close it.
        self.close()


class UploadRoute(APIRoute):
    """A route for forms with one file, which are rejected as early as possible, also while they are read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook: the handler that also receives the upload."""
        handler = super().get_route_handler()
        fields = self._fields()

        async def receive_upload(request: Request) -> Response:
            state = request.app.state
            queue: InferenceQueue = state.queue
            places: UploadPlaces = state.uploads
            queue.refuse_if_full()
            place = places.take(request)
            try:
                received = _ReadRequest(request.scope, LimitedBody(request, state.settings).receive)
                await received.read_form()
                try:
                    return await _respond(received, fields, handler)
                finally:
                    await received.close()
            finally:
                place.free()

        return receive_upload

    def _fields(self) -> dict[str, bool]:
        """The form's fields, and whether each may be repeated, from the pydantic model that FastAPI made of it."""
        model = self.body_field.field_info.annotation if self.body_field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return {}
        return {info.alias or name: get_origin(info.annotation) is list for name, info in model.model_fields.items()}


class _ReadRequest(Request):
    """A request whose form was already read: FastAPI's own reader would respond with 400 to a full disk."""

    async def read_form(self) -> None:
        self._form = await form_reader.read(self)


async def _respond(
    request: Request, fields: dict[str, bool], handler: Callable[[Request], Coroutine[Any, Any, Response]]
) -> Response:
    form = await request.form()
    _refuse_repeated(form, fields)
    if "file" not in form:
        raise form_reader.missing_file(form)
    if isinstance(form["file"], str):
        raise form_reader.sent_as_text()
    form_reader.refuse_unsupported(form)
    ignored = form_reader.shown([name for name in form if name not in fields])
    entry_of(request).ignored_fields = ignored
    response = await handler(request)
    if ignored:
        response.headers["x-whisper-ignored-fields"] = ", ".join(ignored)
    return response


def _refuse_repeated(form: FormData, fields: dict[str, bool]) -> None:
    """Raises ApiError 400 for repeated fields: which value counts would depend on the library."""
    for name, times in Counter(name for name, _ in form.multi_items()).items():
        if times > 1 and not fields.get(name, True):
            message = f"`{name}` was sent {times} times. Send it once."
            raise ApiError(400, message, param=name, code="duplicate_parameter")
