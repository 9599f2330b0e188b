"""A meeting from the file to the corrected transcript, as the documentation shows it.

With SCREENSHOT=docs/portal.png pictures are taken: that one of the transcript, and `portal-upload.png`,
`portal-progress.png` and `portal-narrow.png` beside it.
"""

import os
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo
from tests.browser.steps import expect_state, send, visit
from tests.browser.test_page_intake import CONVERSATION


def take(page: Page, name: str = "") -> None:
    if picture := os.environ.get("SCREENSHOT"):
        path = Path(picture)
        page.screenshot(path=path.with_stem(path.stem + (f"-{name}" if name else "")))


def test_a_meeting_from_the_file_to_the_corrected_transcript(page: Page, demo: Demo) -> None:
    page.set_viewport_size({"width": 1200, "height": 760})
    visit(page, demo)
    take(page, "upload")
    page.get_by_role("radio", name="Who said what").check()
    send(page, {"name": "Interview.wav", "mimeType": "audio/wav", "buffer": CONVERSATION.read_bytes()})
    expect_state(page, "Interview", re.compile(r"\d+%"))
    take(page, "progress")
    expect_state(page, "Interview", "Ready")
    page.get_by_role("link", name="Interview").click()
    for number, name in enumerate(("Diane", "Sheila"), 1):
        field = page.get_by_label(f"Name of Speaker {number}")
        if field.count():
            field.fill(name)
            field.press("Enter")
    expect(page.locator(".turn .speaker").first).to_have_text("Diane")
    page.locator(".segment").nth(1).click()
    expect(page.locator(".segment.current")).to_be_visible()
    page.keyboard.press(" ")
    take(page)
    page.set_viewport_size({"width": 360, "height": 740})
    take(page, "narrow")
