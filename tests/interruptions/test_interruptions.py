"""The page with recordings of minutes, closed, cut off or killed meanwhile: nothing is lost."""

import re
import subprocess

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import SPEECH, Demo
from tests.browser.steps import choose_text, expect_state, rows, send, visit

MINUTES = SPEECH / "silero/aepyx.wav"
"""Nearly three minutes: long enough to look at a job."""

SPEAKING = 9_000
"""Milliseconds in which the fake microphone reads the whole recording."""


@pytest.fixture
def start(faulty_page: Page, demo: Demo) -> Page:
    visit(faulty_page, demo)
    choose_text(faulty_page)
    return faulty_page


def test_a_job_shows_its_stages_and_goes_on_without_the_page(context: BrowserContext, page: Page, demo: Demo) -> None:
    visit(page, demo)
    choose_text(page)
    send(page, MINUTES)
    expect_state(page, "aepyx", re.compile(r"(Writing the text|Reading the recording), \d+%"))
    page.close()
    again = context.new_page()
    visit(again, demo)
    expect_state(again, "aepyx", "Ready")
    again.get_by_role("link", name="aepyx").click()
    expect(again.locator(".segment").first).to_be_visible()
    again.close()


def test_a_connection_that_is_cut_during_a_job_is_resumed(context: BrowserContext, start: Page) -> None:
    send(start, MINUTES)
    expect_state(start, "aepyx", re.compile("the text|the recording|Waiting"))
    context.set_offline(True)
    expect_state(start, "aepyx", re.compile("No connection"))
    context.set_offline(False)
    expect_state(start, "aepyx", "Ready")


def test_a_server_that_is_restarted_finishes_its_jobs(start: Page, demo: Demo) -> None:
    send(start, MINUTES)
    expect_state(start, "aepyx", re.compile(r"Writing the text, \d+%"))
    subprocess.run(["docker", "exec", demo.container, "docker", "restart", "faster-whisper"], check=True)
    expect_state(start, "aepyx", "Ready", timeout=300_000)


def test_a_tab_that_is_killed_loses_no_recording(context: BrowserContext, page: Page, demo: Demo) -> None:
    visit(page, demo)
    choose_text(page)
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(SPEAKING)
    other = context.new_page()
    visit(other, demo)
    expect(rows(other).locator(".progress").first).to_have_text("Recording in another tab")
    page.close()
    other.reload()
    expect(rows(other).get_by_role("alert")).to_contain_text("The page was closed during this recording")
    rows(other).get_by_role("button", name="Try again").click()
    expect(rows(other).locator(".progress").first).to_have_text("Ready", timeout=120_000)
    rows(other).locator(".title").click()
    expect(other.locator(".transcript")).to_contain_text(re.compile("leisure|Dashwood|power"))
    other.close()
