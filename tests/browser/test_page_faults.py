"""What goes wrong around the page: files, network, passwords, servers, space. Nothing is lost, and it says why."""

import re

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import RECORDING, SPEECH, WORDS, Demo
from tests.browser.steps import (
    choose_text,
    correct,
    eventually,
    expect_state,
    put_transcript,
    row,
    rows,
    send,
    sentence,
    visit,
)

TITLE = RECORDING.stem
SPEAKING = 9_000
"""Milliseconds in which the fake microphone reads the whole recording."""


@pytest.fixture
def start(faulty_page: Page, demo: Demo) -> Page:
    visit(faulty_page, demo)
    choose_text(faulty_page)
    return faulty_page


def test_an_empty_file_is_refused_before_it_is_sent(page: Page, demo: Demo) -> None:
    visit(page, demo)
    send(page, {"name": "nothing.wav", "mimeType": "audio/wav", "buffer": b""})
    expect(page.get_by_role("alert")).to_contain_text("“nothing.wav” is empty (0 bytes)")
    expect(rows(page)).to_have_count(0)


def test_a_file_above_the_limit_is_refused_before_it_is_sent(page: Page, demo: Demo) -> None:
    visit(page, demo)
    page.evaluate(
        """() => {
            const file = new File(["RIFF"], "film.mp4");
            Object.defineProperty(file, "size", { value: 3e9 });
            const event = new Event("drop");
            Object.defineProperty(event, "dataTransfer", { value: { files: [file] } });
            document.querySelector(".drop").dispatchEvent(event);
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text(re.compile("“film.mp4” has 3 GB, and the limit is .* MB"))
    expect(rows(page)).to_have_count(0)


def test_a_file_that_is_no_recording_says_so(start: Page) -> None:
    send(start, {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam, " * 100})
    expect(row(start, "letter").get_by_role("alert")).to_contain_text("not a recording", timeout=60_000)


def test_a_wrong_password_in_the_middle_loses_nothing(start: Page, demo: Demo) -> None:
    def refuse(route: Route) -> None:
        """With what nginx answers to somebody without a password."""
        answer = requests.get(
            route.request.url, verify=demo.ca_file, timeout=10, headers={"Accept": "application/json"}
        )
        route.fulfill(status=answer.status_code, body=answer.content, content_type="application/json")

    start.route("**/services/whisper/**", refuse)
    send(start, RECORDING)
    expect(row(start, TITLE).get_by_role("alert")).to_contain_text("user name and password")
    start.unroute("**/services/whisper/**")
    row(start, TITLE).get_by_role("button", name="Try again").click()
    expect_state(start, TITLE, "Ready")


def test_a_network_that_is_gone_for_a_while_is_waited_for(context: BrowserContext, start: Page) -> None:
    context.set_offline(True)
    send(start, RECORDING)
    expect_state(start, TITLE, re.compile("No connection to the server. Trying again in"))
    context.set_offline(False)
    expect_state(start, TITLE, "Ready")


def test_a_job_that_expired_says_so_and_can_be_sent_again(start: Page) -> None:
    send(start, RECORDING)
    expect_state(start, TITLE, "Ready")
    start.evaluate(
        """async () => {
            const recordings = await import("/page/recordings.js");
            const [{ id }] = await recordings.list();
            await recordings.change(id, { state: "queued", job: "0123456789abcdef" });
        }"""
    )
    start.reload()
    expect(row(start, TITLE).get_by_role("alert")).to_contain_text("no longer has this job")
    row(start, TITLE).get_by_role("button", name="Try again").click()
    expect_state(start, TITLE, "Ready")


def test_a_recording_from_the_microphone_becomes_a_transcript(page: Page, demo: Demo) -> None:
    visit(page, demo)
    choose_text(page)
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_text("Recording, 0:01")).to_be_visible()
    eventually(page, "document.querySelector('.recorder meter').value > 0.2")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(re.compile("Paused at"))).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_timeout(SPEAKING)
    page.get_by_role("button", name="Finish and transcribe").click()
    title = rows(page).locator(".title")
    expect(title).to_have_text(re.compile("Recording of"))
    expect(rows(page).locator(".progress").first).to_have_text("Ready", timeout=120_000)
    title.click()
    expect(page.locator(".transcript")).to_contain_text(re.compile("leisure|Dashwood|power"))
    # A recording of the browser does not state its length.
    expect(page.locator(".player .time")).to_have_text(re.compile(r"^0:00 / 0:(0[89]|1\d)$"))


def quota(page: Page, demo: Demo, size: int) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Storage.overrideQuotaForOrigin", {"origin": demo.portal, "quotaSize": size})


def test_a_full_storage_stops_nothing_and_says_so(start: Page, demo: Demo) -> None:
    quota(start, demo, 1)
    send(start, RECORDING)
    expect(start.get_by_role("alert").first).to_contain_text("no space to keep this recording")
    expect_state(start, TITLE, "Ready")
    expect(start.locator(".recent")).to_contain_text("The browser has no more space")
    start.get_by_role("link", name=TITLE).click()
    expect(start.locator(".transcript")).to_contain_text(WORDS)
    expect(start.get_by_role("alert")).to_contain_text("The browser has no more space")
    correct(start, WORDS, "Corrected.")
    expect(sentence(start, "Corrected.")).to_be_visible()


def test_what_had_no_space_is_stored_as_soon_as_there_is_some(start: Page, demo: Demo) -> None:
    quota(start, demo, 1)
    other = "counting"
    send(start, RECORDING, SPEECH / f"audioeval/en/{other}.wav")
    expect_state(start, TITLE, "Ready")
    expect_state(start, other, "Ready")
    start.context.new_cdp_session(start).send("Storage.overrideQuotaForOrigin", {"origin": demo.portal})
    start.once("dialog", lambda dialog: dialog.accept())
    row(start, other).get_by_role("button", name="Delete").click()
    expect(rows(start)).to_have_count(1)
    expect(start.locator(".recent")).not_to_contain_text("The browser has no more space")
    start.reload()
    start.get_by_role("link", name=TITLE).click()
    expect(start.locator(".transcript")).to_contain_text(WORDS)


def test_a_recording_goes_on_when_the_storage_is_full(start: Page, demo: Demo) -> None:
    quota(start, demo, 1)
    start.get_by_role("button", name="Record", exact=True).click()
    expect(start.get_by_text("It continues in memory")).to_be_visible(timeout=30_000)
    start.get_by_role("button", name="Finish and transcribe").click()
    expect(rows(start).locator(".progress").first).to_have_text("Ready", timeout=120_000)


def test_two_tabs_send_a_recording_once(context: BrowserContext, start: Page, demo: Demo) -> None:
    sent: list[str] = []
    context.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    other = context.new_page()
    visit(other, demo)
    send(start, RECORDING)
    for tab in (start, other):
        expect_state(tab, TITLE, "Ready")
    assert len(sent) == 1
    other.close()


def test_delete_means_gone_on_both_sides(start: Page) -> None:
    send(start, RECORDING)
    expect_state(start, TITLE, "Ready")
    job = start.evaluate("async () => (await (await import('/page/recordings.js')).list())[0].job")
    status = "async (id) => (await fetch(`/services/whisper/jobs/${id}`)).status"
    assert start.evaluate(status, job) == 200
    start.once("dialog", lambda dialog: dialog.accept())
    row(start, TITLE).get_by_role("button", name="Delete").click()
    expect(rows(start)).to_have_count(0)
    assert start.evaluate(status, job) == 404
    stores = start.evaluate(
        """async () => {
            const { readAll } = await import("/page/storage.js");
            const stores = ["recordings", "audio", "pieces", "transcripts", "corrections"];
            return (await Promise.all(stores.map((store) => readAll(store)))).flat().length;
        }"""
    )
    assert stores == 0


def test_what_cannot_be_deleted_on_the_server_stays_in_the_list(context: BrowserContext, start: Page) -> None:
    send(start, RECORDING)
    expect_state(start, TITLE, "Ready")
    context.set_offline(True)
    start.once("dialog", lambda dialog: dialog.accept())
    row(start, TITLE).get_by_role("button", name="Delete").click()
    expect(row(start, TITLE).get_by_role("alert")).to_contain_text("could not delete its copy")
    context.set_offline(False)
    start.once("dialog", lambda dialog: dialog.accept())
    row(start, TITLE).get_by_role("button", name="Delete").click()
    expect(rows(start)).to_have_count(0)


def test_a_transcript_that_is_deleted_in_another_tab_says_so(context: BrowserContext, page: Page, demo: Demo) -> None:
    put_transcript(page, demo)
    other = context.new_page()
    visit(other, demo)
    other.once("dialog", lambda dialog: dialog.accept())
    row(other, "Team meeting").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This transcript is not in this browser")).to_be_visible()
    other.close()
