"""Errors of recordings, models and engines. `http.errors` maps them to HTTP."""


class SpeechError(Exception):
    """An error whose message is meant for the client: no paths, no secrets, and what to do about it."""


class ModelNotFound(SpeechError):
    """There is no such model, or this server may not use it."""


class ModelUnavailable(SpeechError):
    """The model exists, but cannot be used now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 30) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DiarizationUnavailable(SpeechError):
    """Speaker diarization is not possible; `retry_after` is in seconds, None where waiting does not help."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoSpace(SpeechError):
    """The disk has no space for a model or a recording; `param` is the form field that needs it."""

    def __init__(self, message: str, param: str = "model") -> None:
        super().__init__(message)
        self.param = param


class ModelTooLarge(SpeechError):
    """The model does not fit into the memory that this server may use."""


class ModelInUse(SpeechError):
    """A transcription is using the model."""


class ModelProtected(SpeechError):
    """Clients may not delete the model's files."""


class NotAudio(SpeechError):
    """The file's format is unknown, or it contains no audio."""


class UndecodableAudio(SpeechError):
    """The file is audio, but damaged."""


class AudioTooLong(SpeechError):
    """The recording is longer than this server accepts."""


class UnsupportedOption(SpeechError):
    """The model does not support an option; `param` is the option's name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
