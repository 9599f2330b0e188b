"""POST /v1/audio/transcriptions and /v1/audio/translations, as OpenAI's API has them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from whisper_server.http import jobs
from whisper_server.http.openai import formats
from whisper_server.http.openai.forms import DiarizedTranscriptionForm, TranscriptionForm, TranslationForm
from whisper_server.http.responses import openapi_responses, respond
from whisper_server.http.uploads import UploadRoute

transcriptions = APIRouter(tags=["Audio"], route_class=UploadRoute)
# The same address, for a server with speaker diarization.
diarized_transcriptions = APIRouter(tags=["Audio"], route_class=UploadRoute)
translations = APIRouter(tags=["Audio"], route_class=UploadRoute)

_DESCRIPTION = "The transcript in the requested format, or its events with `stream`."
_RESPONSES = openapi_responses(
    _DESCRIPTION,
    formats.TranscriptionJson | formats.TranscriptionVerboseJson,
    "text/plain",
    "text/vtt",
    stream=True,
)
_DIARIZED_RESPONSES = openapi_responses(
    _DESCRIPTION,
    formats.TranscriptionJson | formats.TranscriptionVerboseJson | formats.TranscriptionDiarizedJson,
    "text/plain",
    "text/vtt",
    stream=True,
)


@transcriptions.post(
    "/v1/audio/transcriptions", summary="Transcribe a recording", responses=_RESPONSES, response_model=None
)
async def create_transcription(
    request: Request,
    form: Annotated[TranscriptionForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await respond(request, form, prefer_async, caller)


@diarized_transcriptions.post(
    "/v1/audio/transcriptions", summary="Transcribe a recording", responses=_DIARIZED_RESPONSES, response_model=None
)
async def create_diarized_transcription(
    request: Request,
    form: Annotated[DiarizedTranscriptionForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await respond(request, form, prefer_async, caller)


@translations.post(
    "/v1/audio/translations",
    summary="Translate a recording into English",
    responses=_RESPONSES,
    response_model=None,
)
async def create_translation(
    request: Request,
    form: Annotated[TranslationForm, Depends()],
    prefer_async: Annotated[bool, Depends(jobs.prefer_async)],
    caller: Annotated[str | None, Depends(jobs.caller)],
) -> Response:
    return await respond(request, form, prefer_async, caller)
