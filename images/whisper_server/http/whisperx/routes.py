"""POST /transcribe, as in WhisperX."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from whisper_server.http import jobs
from whisper_server.http.responses import openapi_responses, respond
from whisper_server.http.uploads import UploadRoute
from whisper_server.http.whisperx import formats
from whisper_server.http.whisperx.forms import TranscribeForm

router = APIRouter(tags=["Audio"], route_class=UploadRoute)


@router.post(
    "/transcribe",
    summary="Transcribe a recording, with speaker diarization",
    responses=openapi_responses(
        "The transcript in the requested format.",
        formats.SpokenSegments,
        "text/plain",
        "text/vtt",
        "text/tab-separated-values",
        stream=False,
    ),
    response_model=None,
)
async def transcribe(
    request: Request,
    form: Annotated[TranscribeForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await respond(request, form, prefer_async, caller)
