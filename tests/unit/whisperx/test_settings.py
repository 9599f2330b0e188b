import pytest

from whisper_server.engines.whisperx.settings import WhisperXSettings


def test_the_guide_s_models_are_allowed() -> None:
    settings = WhisperXSettings()
    assert settings.model == "Systran/faster-whisper-base"
    assert settings.allowed_models == ["tiny", "base", "small", "medium", "large-v2"]


def test_languages_with_and_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER__ALIGN_MODELS", "en, fr=/models/fr,pt=someone/wav2vec2,")
    assert WhisperXSettings().align_models == {"en": "", "fr": "/models/fr", "pt": "someone/wav2vec2"}
    monkeypatch.setenv("WHISPER__ALIGN_MODELS", "")
    assert WhisperXSettings().align_models == {}
