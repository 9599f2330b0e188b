"""What the tests of the documentation read out of a Markdown file, as CommonMark with tables understands it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[3]

_PARSER = MarkdownIt("commonmark").enable("table")


def documents() -> list[Path]:
    """Every Markdown file of the repository, those that are not committed yet too."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(ROOT / name for name in names if name and (ROOT / name).is_file())


def targets(text: str) -> list[str]:
    """Where the links and the pictures of a document lead."""
    addresses = (token.attrGet("href") or token.attrGet("src") for token in _tokens(text))
    return [str(address) for address in addresses if address]


def anchors(text: str) -> set[str]:
    """What a `#…` of a document may name: its headings, as GitHub makes anchors of them."""
    found: Counter[str] = Counter()
    names = set()
    tokens = _PARSER.parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        title = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
        name = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def fences(text: str) -> Iterator[Token]:
    """The fenced code blocks of a document: `info`, `content` and `map`, its lines from 0."""
    return (token for token in _PARSER.parse(text) if token.type == "fence")


def code(text: str) -> list[str]:
    """What a document sets as code: its spans, and the lines of its blocks."""
    return [
        line
        for token in _tokens(text)
        if token.type in ("fence", "code_inline")
        for line in token.content.replace("\\\n", " ").splitlines()
    ]


def _tokens(text: str) -> Iterator[Token]:
    for block in _PARSER.parse(text):
        yield block
        yield from block.children or []
