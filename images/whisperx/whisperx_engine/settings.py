"""What can be set of this server besides what every server has."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from whisper_api.settings import Settings, listed


def _models_by_language(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [entry.partition("=") for entry in value.split(",") if entry.strip()]
    return {language.strip(): model.strip() for language, _, model in pairs}


class WhisperXSettings(Settings):
    """Settings of the WhisperX server, each read from `WHISPER__` and its name in capitals."""

    model: str = "Systran/faster-whisper-base"
    """Model that is loaded at the start, and that requests mean that name none, or `whisper-1`."""
    allowed_models: Annotated[list[str], NoDecode, BeforeValidator(listed)] = Field(
        default=["tiny", "base", "small", "medium", "large-v2"]
    )
    """Models that clients may have fetched from the hub, besides `WHISPER__MODEL`: ids or aliases, separated by
    commas, with `*` for any text (`small,Systran/*`). A path is a CTranslate2 model's folder, known by its name."""
    diarize_model: str = "pyannote/speaker-diarization-community-1"
    """Diarization pipeline of pyannote.audio: an id on the hub, or the path of a folder with a `config.yaml`."""
    align_models: Annotated[dict[str, str], NoDecode, BeforeValidator(_models_by_language)] = Field(
        default={"en": "", "fr": "", "de": "", "es": "", "it": ""}
    )
    """Languages whose words are aligned with the sound, separated by commas, each alone for WhisperX's own model or
    with another one (`en,fr,pt=ORGANISATION/NAME,cs=/models/cs`): an id on the hub, the name of a torchaudio bundle, or
    the path of a folder. Those that are not here are fetched when they are first needed."""
