"""POST /v1/audio/transcriptions: OpenAI's transcription of a recording."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from whisper_server.http import formats, jobs
from whisper_server.http.answers import answer, described_answers
from whisper_server.http.forms import TranscriptionForm
from whisper_server.http.uploads import UploadRoute

router = APIRouter(tags=["Audio"], route_class=UploadRoute)

_ANSWERS = described_answers(
    "The transcript in the format asked for, or with `stream` its events.",
    formats.TranscriptionJson | formats.TranscriptionVerboseJson,
    "text/plain",
    "text/vtt",
    stream=True,
)


@router.post("/v1/audio/transcriptions", summary="Transcribe a recording", responses=_ANSWERS, response_model=None)
async def create_transcription(
    request: Request,
    form: Annotated[TranscriptionForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await answer(request, form, prefer_async, caller)
