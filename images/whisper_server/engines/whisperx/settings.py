"""Settings of the WhisperX server besides the common ones."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from whisper_server.process.settings import Settings, listed


def _models_by_language(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [entry.partition("=") for entry in value.split(",") if entry.strip()]
    return {language.strip(): model.strip() for language, _, model in pairs}


class WhisperXSettings(Settings):
    """Settings of the WhisperX server, each read from `WHISPER__` and its name in capitals."""

    model: str = "Systran/faster-whisper-base"
    """Default model: loaded at startup, and used for requests that specify none or `whisper-1`."""
    allowed_models: Annotated[list[str], NoDecode, BeforeValidator(listed)] = Field(
        default=["tiny", "base", "small", "medium", "large-v2"]
    )
    """Additional models that clients may trigger a download of: ids or aliases, separated by commas; `*` is a wildcard
    (`small,Systran/*`). A path refers to a folder with a CTranslate2 model; its folder name is the model id."""
    diarize_model: str = "pyannote/speaker-diarization-community-1"
    """Diarization pipeline of pyannote.audio: a Hugging Face id, or the path of a folder with a `config.yaml`."""
    align_models: Annotated[dict[str, str], NoDecode, BeforeValidator(_models_by_language)] = Field(
        default={"en": "", "fr": "", "de": "", "es": "", "it": ""}
    )
    """Languages for word alignment, separated by commas: alone for WhisperX's default model, or with another one
    (`en,fr,pt=ORGANISATION/NAME,cs=/models/cs`): a Hugging Face id, the name of a torchaudio bundle, or the path of a
    folder. Missing models are downloaded when they are first needed."""
