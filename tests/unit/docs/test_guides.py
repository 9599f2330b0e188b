"""The two guides: the same code, and no block that neither a test runs nor a reason excuses. tests/guide runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guide.blocks import GUIDES, NOT_RUN, UnknownMark, blocks_of, blocks_of_guides


def test_most_blocks_are_run() -> None:
    blocks = [block for block in blocks_of_guides() if block.language in ("bash", "python")]
    assert sum(block.is_run for block in blocks) > sum(not block.is_run for block in blocks)


def test_both_guides_show_the_same_things() -> None:
    english, french = (blocks_of(guide, guide.read_text(encoding="utf-8")) for guide in GUIDES)
    assert [(block.language, block.not_run) for block in french] == [
        (block.language, block.not_run) for block in english
    ]


def test_every_reason_is_given_somewhere() -> None:
    assert {block.not_run for block in blocks_of_guides()} - {None} == set(NOT_RUN)


@pytest.mark.parametrize("info", ["", "sh", "bash not-run", "bash not-run=lazy", "json not-run=own-values", "bash x"])
def test_an_unknown_mark_is_refused(info: str) -> None:
    with pytest.raises(UnknownMark, match=r"guide\.md:2"):
        blocks_of(Path("guide.md"), f"```{info}\ntrue\n```\n")


def test_a_block_knows_its_line_and_its_reason() -> None:
    text = "# Guide\n\n```bash\ntrue\n```\n\n```python not-run=install\npass\n```\n"
    first, second = blocks_of(Path("guide.md"), text)
    assert (first.line, first.code, first.is_run) == (4, "true\n", True)
    assert (second.line, second.not_run, second.is_run) == (8, "install", False)
