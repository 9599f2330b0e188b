"""Recordings come in, and become transcripts: with the deployed services."""

import base64
import re
import wave
from pathlib import Path

import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING, SPEECH, WORDS, Demo
from tests.browser.steps import LONG, choose_text, drop, expect_state, row, rows, send, visit
from tests.browser.test_portal import on_the_server

CONVERSATION = SPEECH / "pyannote/sample.wav"


def sound_of(path: Path, seconds: int) -> Path:
    """A file of 32 kB per second with no speech in it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000 * seconds))
    return path


def test_a_dropped_recording_becomes_a_transcript(page: Page, demo: Demo) -> None:
    visit(page, demo)
    choose_text(page)
    drop(page, "sense.wav", RECORDING.read_bytes())
    expect_state(page, "sense", "Ready")
    page.get_by_role("link", name="sense").click()
    expect(page.locator(".transcript")).to_contain_text(WORDS)
    expect(page.locator(".doubtful, .segment").first).to_be_visible()


def test_several_files_are_taken_at_once(page: Page, demo: Demo) -> None:
    visit(page, demo)
    choose_text(page)
    files = sorted((SPEECH / "audioeval/en").glob("*.wav"))
    send(page, *files)
    expect(rows(page)).to_have_count(len(files))
    for file in files:
        expect_state(page, file.stem, "Ready")


def test_speakers_are_told_apart(page: Page, demo: Demo) -> None:
    visit(page, demo)
    page.get_by_role("radio", name="Who said what").check()
    page.get_by_label("Number of speakers").select_option("2")
    page.get_by_label("Words to expect").fill("Nancy, Fitzgerald")
    send(page, CONVERSATION)
    expect_state(page, "sample", "Ready")
    page.get_by_role("link", name="sample").click()
    expect(page.locator(".speakers .name")).to_have_count(2)
    expect(page.get_by_label("Name of Speaker 1")).to_be_visible()
    assert page.locator(".turn .speaker").count() >= 2


def test_an_upload_shows_its_progress_and_can_be_cancelled(page: Page, demo: Demo, tmp_path: Path) -> None:
    visit(page, demo)
    choose_text(page)
    connection = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": 300_000}
    connection.send("Network.enable")
    connection.send("Network.emulateNetworkConditions", slow)
    send(page, sound_of(tmp_path / "long.wav", 250))
    expect_state(
        page, "long", re.compile(r"Sending [\d.]+ (MB|kB) of 8 MB · [\d.]+ kB per second · about \d+ (sec|min) left")
    )
    assert 0 < float(row(page, "long").locator("progress").get_attribute("value") or 0) < 1
    row(page, "long").get_by_role("button", name="Cancel").click()
    expect_state(page, "long", "Cancelled")
    connection.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    row(page, "long").get_by_role("button", name="Try again").click()
    expect_state(page, "long", "Ready")
    page.get_by_role("link", name="long").click()
    expect(page.locator(".transcript")).to_contain_text("No speech was found")


def test_a_service_that_is_stopped_is_said_to_be_starting(page: Page, demo: Demo) -> None:
    on_the_server(demo, "docker-autostart", "stop", "faster-whisper")
    visit(page, demo)
    choose_text(page)
    send(page, RECORDING)
    expect_state(page, RECORDING.stem, "Starting the service", timeout=10_000)
    expect_state(page, RECORDING.stem, "Ready")


def test_jobs_of_other_programs_are_found_opened_and_deleted(page: Page, demo: Demo) -> None:
    visit(page, demo)
    sent = page.evaluate(
        """async (encoded) => {
            const body = new FormData();
            const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
            body.append("file", new Blob([bytes]), "a.wav");
            const request = { method: "POST", headers: { Prefer: "respond-async" }, body };
            return (await (await fetch("/services/whisper/v1/audio/transcriptions", request)).json()).id;
        }""",
        base64.b64encode(RECORDING.read_bytes()).decode(),
    )
    assert sent
    page.get_by_text("Other jobs on the server").click()
    jobs = page.locator(".jobs").first
    jobs.get_by_role("button", name="Open").first.click(timeout=LONG)
    expect(rows(page)).to_have_count(1)
    expect(rows(page).locator(".progress").first).to_have_text("Ready", timeout=LONG)
    page.once("dialog", lambda dialog: dialog.accept())
    rows(page).get_by_role("button", name="Delete").click()
    expect(rows(page)).to_have_count(0)
    job = f"{demo.portal}/services/whisper/jobs/{sent}"
    assert requests.get(job, auth=(demo.user, demo.password), verify=demo.ca_file, timeout=10).status_code == 404
