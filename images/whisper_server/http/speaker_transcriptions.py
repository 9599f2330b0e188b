"""POST /transcribe and /v1/audio/transcriptions of a server that tells speakers apart."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from whisper_server.http import formats, jobs
from whisper_server.http.answers import answer, described_answers
from whisper_server.http.speaker_forms import DiarizedTranscriptionForm, TranscribeForm
from whisper_server.http.uploads import UploadRoute

router = APIRouter(tags=["Audio"], route_class=UploadRoute)


@router.post(
    "/transcribe",
    summary="Transcribe a recording, and say who speaks",
    responses=described_answers(
        "The transcript in the format asked for.",
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
    return await answer(request, form, prefer_async, caller)


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe a recording",
    responses=described_answers(
        "The transcript in the format asked for, or with `stream` its events.",
        formats.TranscriptionJson | formats.TranscriptionVerboseJson | formats.TranscriptionDiarizedJson,
        "text/plain",
        "text/vtt",
        stream=True,
    ),
    response_model=None,
)
async def create_diarized_transcription(
    request: Request,
    form: Annotated[DiarizedTranscriptionForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await answer(request, form, prefer_async, caller)
