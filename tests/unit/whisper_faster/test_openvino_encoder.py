from pathlib import Path

import pytest

from whisper_server.engines.whisper import openvino_encoder


def test_a_file_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes((5).to_bytes(4, "little") + bytes(100))
    with pytest.raises(ValueError, match="version 5"):
        openvino_encoder.encoder_arrays(tmp_path)
