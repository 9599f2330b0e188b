import pytest
from pydantic import ValidationError

from tools import server_readme
from whisper_server.process.settings import Settings


def test_the_guide_s_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER__MODEL", "Systran/faster-whisper-base")
    monkeypatch.setenv("WHISPER__INFERENCE_DEVICE", "cuda")
    monkeypatch.setenv("WHISPER__COMPUTE_TYPE", "float16")
    monkeypatch.setenv("WHISPER__TTL", "-1")
    settings = Settings()
    assert (settings.model, settings.inference_device) == ("Systran/faster-whisper-base", "cuda")
    assert (settings.compute_type, settings.ttl) == ("float16", -1)


@pytest.mark.parametrize(("given", "expected"), [("500M", 524_288_000), ("1G", 2**30), ("64k", 65_536), ("1000", 1000)])
def test_sizes_mean_what_they_mean_to_nginx(monkeypatch: pytest.MonkeyPatch, given: str, expected: int) -> None:
    monkeypatch.setenv("WHISPER__UPLOAD_LIMIT", given)
    assert Settings().upload_limit == expected


@pytest.mark.parametrize(("name", "value"), [("TTL", "-2"), ("INFERENCE_DEVICE", "tpu"), ("UPLOAD_LIMIT", "much")])
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"WHISPER__{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_a_list_is_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER__ALLOWED_MODELS", "small, Systran/*,")
    assert Settings().allowed_models == ["small", "Systran/*"]
    monkeypatch.setenv("WHISPER__ALLOWED_MODELS", "")
    assert Settings().allowed_models == []


@pytest.mark.parametrize("server", server_readme.SETTINGS)
def test_every_setting_is_in_the_readme(server: str) -> None:
    text = server_readme.path_of(server).read_text(encoding="utf-8")
    assert text == server_readme.readme(server), "run `python -m tools.server_readme`"
