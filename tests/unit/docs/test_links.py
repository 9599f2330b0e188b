"""No document leads to a file or a heading that does not exist."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.unit.docs.markdown import ROOT, anchors, documents, targets


def broken(document: Path) -> list[str]:
    """The links of a document to places in this repository that are not there."""
    missing = []
    for target in targets(document.read_text(encoding="utf-8")):
        address = urlsplit(target)
        if address.scheme or address.netloc:
            continue
        file = document.parent / unquote(address.path) if address.path else document
        fragment = unquote(address.fragment)
        is_there = file.exists() and file.resolve().is_relative_to(ROOT)
        if not is_there or (fragment and fragment not in anchors(file.read_text(encoding="utf-8"))):
            missing.append(target)
    return missing


def test_there_are_documents() -> None:
    assert ROOT / "README.md" in documents()


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    assert broken(document) == []


def test_every_page_of_the_documentation_can_be_found() -> None:
    found: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        found.add(document)
        paths = [urlsplit(target).path for target in targets(document.read_text(encoding="utf-8"))]
        linked = {(document.parent / unquote(path)).resolve() for path in paths if path.endswith(".md")}
        ahead += [path for path in linked - found if path.is_file()]
    assert [path for path in documents() if path.is_relative_to(ROOT / "docs") and path not in found] == []


def test_what_leads_nowhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.docs.test_links.ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# One `two`: trois, été\n\n## Again\n\n## Again\n")
    document = tmp_path / "document.md"
    document.write_text(
        "# Here\n\n[a](other.md) [b](other.md#one-two-trois-été) [c](other.md#again-1) [d](#here) <https://example.com/x>\n\n"
        "![gone](gone.png)\n\n| table |\n|---|\n| [e](other.md#gone) |\n\n[f](#gone) [g](../outside.md)\n"
    )
    assert broken(document) == ["gone.png", "other.md#gone", "#gone", "../outside.md"]
