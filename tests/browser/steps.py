"""What tests of the page for people do again and again."""

import base64
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Demo

LONG = 120_000
"""Milliseconds for a start of a service and a transcription."""

MEETING: Sequence[dict[str, Any]] = [
    {"start": 0.0, "end": 2.0, "text": "And Mr. John Dashwood", "speaker": "SPEAKER_01"},
    {"start": 2.0, "end": 4.0, "text": "had then leisure to consider", "speaker": "SPEAKER_00"},
    {"start": 4.0, "end": 5.5, "text": "how much there might be <script>alert(1)</script>", "speaker": "SPEAKER_00"},
    {"start": 5.5, "end": 7.0, "text": "Café & prudence.", "speaker": "SPEAKER_01"},
]
"""Sentences of a meeting of seven seconds."""

_WORDS = [
    {"word": word, "start": 2.0, "end": 2.5, "score": 0.3 if word == "leisure" else 0.9} for word in ("had", "leisure")
]


def visit(page: Page, demo: Demo) -> None:
    """Opens the page; its modules run after the browser has loaded it."""
    page.goto(demo.portal)
    expect(page.locator(".recent")).to_be_visible()


def eventually(page: Page, expression: str, seconds: float = 10) -> None:
    """Waits until an expression is true.

    `Page.wait_for_function` compiles its expression within the page, which the page's Content-Security-Policy forbids.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"
        page.wait_for_timeout(50)


def choose_text(page: Page) -> None:
    page.get_by_role("radio", name="Text").check()


def rows(page: Page) -> Locator:
    """The history."""
    return page.locator(".history > li")


def row(page: Page, title: str) -> Locator:
    return rows(page).filter(has=page.locator(".title", has_text=re.compile(f"^{re.escape(title)}$")))


def expect_state(page: Page, title: str, state: str | re.Pattern[str], timeout: float = LONG) -> None:
    expect(row(page, title).locator(".progress").first).to_have_text(state, timeout=timeout)


def send(page: Page, *files: Path | dict[str, Any]) -> None:
    """Chooses files, as the button does."""
    page.locator("#files").set_input_files(list(files))  # type: ignore[arg-type]  # a list of either kind, not of both


def drop(page: Page, name: str, content: bytes) -> None:
    """Lets a file fall on the page."""
    encoded = base64.b64encode(content).decode()
    transfer = page.evaluate_handle(
        """async ([name, encoded]) => {
            const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [name, encoded],
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})


def put_transcript(
    page: Page,
    demo: Demo,
    segments: Sequence[dict[str, Any]] = MEETING,
    *,
    title: str = "Team meeting",
    audio: Path | None = None,
    job: str | None = None,
) -> str:
    """Stores a finished transcript with the page's own modules, and opens it. Returns its id."""
    words = [{**segment, "words": _WORDS if segment["start"] == 2.0 else []} for segment in segments]
    encoded = base64.b64encode(audio.read_bytes()).decode() if audio else None
    visit(page, demo)
    stored: str = page.evaluate(
        """async ([title, result, encoded, job]) => {
            const recordings = await import("/page/recordings.js");
            const { fromResult } = await import("/page/transcript.js");
            const options = { speakers: true, language: "", count: null, words: "" };
            const file = { title, fileName: `${title}.wav`, bytes: 1, type: "audio/wav", kept: encoded !== null };
            const { id } = await recordings.add({ ...file, options, service: "whisper", job, state: "done" });
            if (encoded) {
                const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
                await recordings.putAudio(id, new Blob([bytes], { type: "audio/wav" }), true);
            }
            await recordings.putTranscript(id, fromResult(result));
            return id;
        }""",
        [title, {"language": "en", "segments": words}, encoded, job],
    )
    page.goto(f"{demo.portal}/#/transcript/{stored}")
    expect(page.locator(".transcript")).to_be_visible()
    return stored


def sentence(page: Page, text: str) -> Locator:
    return page.locator(".segment", has_text=text)


def correct(page: Page, text: str, corrected: str) -> None:
    """Corrects a sentence by the keyboard."""
    sentence(page, text).focus()
    page.keyboard.press("e")
    field = page.get_by_label("Correct the text")
    expect(field).to_be_focused()
    field.fill(corrected)
    page.keyboard.press("Enter")
    expect(field).to_have_count(0)
