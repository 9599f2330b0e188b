"""Every `code` of an error that a client can get is in the table of docs/troubleshooting.md."""

from __future__ import annotations

import re

from tests.unit.docs.markdown import ROOT, code

# Where errors get their codes: the servers, the daemon, nginx.
SOURCES = {
    "images/whisper_server/**/*.py": r'\bcode="(\w+)"',
    "roles/autostart/files/docker_autostart/errors.py": r'\bcode = "(\w+)"',
    "roles/nginx/templates/errors.conf.j2": r"\('\w+_error', '(\w+)'",
}

# Of services that show browsers a page while they start, which neither of ours does; and of the operators' socket.
NOT_MET = {"starting", "not_done"}


def codes(pattern: str, expression: str) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in ROOT.glob(pattern))
    return {found for text in texts for found in re.findall(expression, text)}


def test_every_code_is_explained() -> None:
    given = {pattern: codes(pattern, expression) for pattern, expression in SOURCES.items()}
    assert all(len(found) > 5 for found in given.values())
    explained = set(code((ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")))
    assert set().union(*given.values()) - explained == NOT_MET
