"""`stream=true`: the text as it is decoded, as server-sent events (HTML Standard, section 9.2).

Source: `TranscriptTextDeltaEvent` and `TranscriptTextDoneEvent` of OpenAI's API specification. OpenAI's clients raise
an exception for an event with an `error`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from whisper_server.http.disconnects import while_connected
from whisper_server.http.errors import KNOWN, ApiError, ErrorResponse, api_error, error_object, internal_error
from whisper_server.http.formats import add_shortened
from whisper_server.http.request_log import entry_of
from whisper_server.speech.engine import Event, Reached
from whisper_server.speech.transcript import Segment, Transcript, TranscriptionInfo
from whisper_server.work.inference_queue import InferenceQueue

# Proxies time out after a minute or more without data.
_KEEP_ALIVE_SECONDS = 10.0
# Until the first byte is sent, an error can still have its status.
_FIRST_SECONDS = 5.0

# One event, as OpenAPI's documentation on server-sent events describes them.
EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}

Work = Callable[[Reached, Callable[[Event], None]], Transcript]


class TextDelta(BaseModel):
    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class TextDone(BaseModel):
    """`text` is the complete text; `shortened` names the form fields that were not used in full, if any."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    shortened: Annotated[Sequence[str], Field(exclude_if=lambda fields: not fields)] = ()


async def stream(
    request: Request, queue: InferenceQueue, work: Work, record: Callable[[Transcript], None]
) -> StreamingResponse:
    """The events of the transcription by `work`; `record` receives the finished transcript.

    Raises what `work` and the queue raise within the first seconds; later errors become events. When the client
    disconnects, the work ends at its next step.
    """
    loop = asyncio.get_running_loop()
    segments: asyncio.Queue[Segment | None] = asyncio.Queue()
    alive = asyncio.Event()
    shortened: list[str] = []

    def handle(event: Event | None) -> None:
        if isinstance(event, TranscriptionInfo):
            shortened.extend(event.shortened)
            return
        segments.put_nowait(event)
        alive.set()

    def transcribe(cancelled: threading.Event) -> Transcript:
        def reached(*_: object) -> None:
            if cancelled.is_set():
                raise ClientDisconnect

        def on_event(event: Event) -> None:
            loop.call_soon_threadsafe(handle, event)

        return work(reached, on_event)

    running = asyncio.create_task(queue.run(transcribe))
    running.add_done_callback(lambda _: handle(None))
    try:
        with suppress(TimeoutError):
            await while_connected(request, asyncio.wait_for(alive.wait(), _FIRST_SECONDS))
        if running.done():
            running.result()
    except BaseException:
        running.cancel()
        raise
    response = _EventStream(_events(segments, running, record, entry_of(request).request_id), running)
    add_shortened(response, shortened)
    return response


class _EventStream(StreamingResponse):
    """A stream of events whose work is cancelled when the response ends for any reason.

    The `finally` of a generator does not run before its first event, and the client may disconnect earlier.
    """

    def __init__(self, events: AsyncIterator[str], running: asyncio.Task[Transcript]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._running.cancel()


async def _events(
    segments: asyncio.Queue[Segment | None],
    running: asyncio.Task[Transcript],
    record: Callable[[Transcript], None],
    request_id: str,
) -> AsyncIterator[str]:
    try:
        while True:
            try:
                segment = await asyncio.wait_for(segments.get(), _KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield ": the transcription goes on\n\n"
                continue
            if segment is None:
                break
            yield event(TextDelta(delta=segment.text))
        transcript = await running
        record(transcript)
        yield event(TextDone(text=transcript.text, shortened=transcript.shortened))
    except KNOWN as error:
        yield event(ErrorResponse(error=error_object(api_error(error))))
    except ApiError as error:
        yield event(ErrorResponse(error=error_object(error)))
    except Exception:
        yield event(ErrorResponse(error=error_object(internal_error(request_id))))
        raise


def event(content: BaseModel) -> str:
    """A server-sent event with a JSON object."""
    return f"data: {content.model_dump_json()}\n\n"
