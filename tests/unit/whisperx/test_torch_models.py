import time

import pytest

from whisper_server.engines.whisperx.torch_models import TorchModels


def eventually(models: TorchModels, names: tuple[str, ...]) -> bool:
    deadline = time.monotonic() + 5
    while models.names() != names and time.monotonic() < deadline:
        time.sleep(0.02)
    return models.names() == names


def test_a_model_is_loaded_once() -> None:
    models = TorchModels(ttl=-1)
    made = iter(["first", "second"])
    for _ in range(2):
        with models.use("en", lambda: next(made)) as model:
            assert model == "first"
    assert models.names() == ("en",)


def test_an_unused_model_is_dropped() -> None:
    models = TorchModels(ttl=1)
    with models.use("en", lambda: "model"):
        time.sleep(1.5)
        assert models.names() == ("en",), "it was dropped while it was used"
    assert eventually(models, ())


def test_a_failure_leaves_nothing_behind() -> None:
    models = TorchModels(ttl=1)

    def fail() -> None:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"), models.use("en", fail):
        pass
    assert models.names() == ()
