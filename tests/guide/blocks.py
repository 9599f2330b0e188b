"""The code blocks of the user guides, and which of them a test can run.

A block is run when its language is bash or python. One that cannot be run says why behind its language, ```` ```bash
not-run=REASON ````, and a block of another language shows what comes back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.unit.docs.markdown import ROOT, fences

GUIDES = (ROOT / "docs/guide.md", ROOT / "docs/fr/guide.md")

RUN = ("bash", "python")
SHOWN = ("json", "text", "yaml")
NOT_RUN = {
    "own-values": "has a name, a key or a file that only the reader knows",
    "install": "installs packages on the reader's machine",
}


class UnknownMark(ValueError):
    """A block's info string is neither a language that is run or shown, nor one with a known reason not to."""


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line`` is the first of its code, from 1; ``not_run`` the reason, None where it is run."""

    guide: Path
    line: int
    language: str
    not_run: str | None
    code: str

    @property
    def is_run(self) -> bool:
        return self.language in RUN and self.not_run is None

    def __str__(self) -> str:
        return f"{self.guide.relative_to(ROOT)}:{self.line}"


def blocks_of(guide: Path, text: str) -> list[Block]:
    """The blocks of a guide's text in order.

    Raises:
        UnknownMark: an info string is not one of those above.
    """
    blocks = []
    for fence in fences(text):
        line = (fence.map or [0])[0] + 2
        info = re.fullmatch(r"(\w+)(?: not-run=([\w-]+))?", fence.info.strip())
        language, reason = info.groups() if info else (None, None)
        known = language in RUN if reason in NOT_RUN else reason is None and language in (*RUN, *SHOWN)
        if language is None or not known:
            allowed = f"one of {', '.join(RUN + SHOWN)}; not-run={' or '.join(NOT_RUN)} behind those that are run"
            raise UnknownMark(f"{guide}:{line} has '{fence.info}', and may have {allowed}")
        blocks.append(Block(guide, line, language, reason, fence.content))
    return blocks


def blocks_of_guides() -> list[Block]:
    return [block for guide in GUIDES for block in blocks_of(guide, guide.read_text(encoding="utf-8"))]
