from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from whisper_server.engines.whisper import openvino_encoder


@pytest.mark.parametrize("shape", [(1, 80, 1000), (2, 80, 700), (1, 80, 3000)])
def test_it_encodes_as_ctranslate2_does(hub: Path, shape: tuple[int, ...]) -> None:
    (folder,) = (hub / "models--Systran--faster-whisper-base" / "snapshots").iterdir()
    encode = openvino_encoder.load(folder, threads=2)
    if encode is None:
        flags = Path("/proc/cpuinfo").read_text().split()
        assert "avx512_bf16" not in flags
        assert "amx_bf16" not in flags
        return
    features = (np.random.default_rng(0).standard_normal(shape) / 2).astype(np.float32)
    exact = ctranslate2.models.Whisper(str(folder), compute_type="float32", intra_threads=2)
    expected = np.array(exact.encode(ctranslate2.StorageView.from_array(features)))
    found = np.array(encode(features))
    assert found.shape == expected.shape
    # With its weights in 8 bits CTranslate2's own encoder is 7 % off.
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)
