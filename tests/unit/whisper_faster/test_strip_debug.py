import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from whisper_faster import strip_debug


def _ctranslate2() -> Path:
    spec = importlib.util.find_spec("ctranslate2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def test_a_stripped_library_still_works(tmp_path: Path) -> None:
    """CTranslate2's extension is the one with most to remove."""
    package = _ctranslate2()
    copy = tmp_path / "ctranslate2"
    shutil.copytree(package, copy)
    shutil.copytree(package.with_name("ctranslate2.libs"), tmp_path / "ctranslate2.libs")
    before = sum(path.stat().st_size for path in tmp_path.rglob("*.so*"))
    strip_debug.main(tmp_path)
    after = sum(path.stat().st_size for path in tmp_path.rglob("*.so*"))
    assert before - after > 50_000_000
    code = "import ctranslate2; print(ctranslate2.__file__, ctranslate2.get_supported_compute_types('cpu'))"
    python_path = f"{tmp_path}:{sysconfig.get_path('purelib')}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": python_path}, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in done.stdout
    assert "int8" in done.stdout


def test_stripping_twice_changes_nothing() -> None:
    library = next(_ctranslate2().glob("_ext*.so")).read_bytes()
    once = strip_debug.stripped(library)
    assert len(once) < len(library)
    assert strip_debug.stripped(once) == once


@pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF\x01\x01" + bytes(100)])
def test_only_little_endian_elf_64_is_touched(content: bytes) -> None:
    with pytest.raises(ValueError, match="ELF-64"):
        strip_debug.stripped(content)
