"""Check mode on a server that has nothing yet."""

import re
from collections.abc import Callable


def test_it_goes_through_and_changes_nothing(check: Callable[..., str], state: Callable[[], str]) -> None:
    before = state()
    printed = check()
    assert "failed=0" in printed
    assert re.search(r"whisper-check\s+: ok=\d+\s+changed=[1-9]", printed), "there is something to do"
    assert "docker-compose.yml" in printed
    assert state() == before
