"""The portal as a person meets it: pages, states, and both ways to sign in to an API that is elsewhere."""

import json
import subprocess

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING, WORDS, Demo

UPLOADS = {"faster-whisper": "/v1/audio/transcriptions", "whisperx": "/transcribe"}
"""The operation of each service that takes a recording."""

UPDATE = 15_000
"""Milliseconds for the page to see another state: it looks every five seconds."""

LONG = 120_000
"""Milliseconds for a start of the service and a transcription."""


def on_the_server(demo: Demo, *command: str) -> str:
    return subprocess.run(
        ["docker", "exec", demo.container, *command], capture_output=True, text=True, check=True
    ).stdout


def states(demo: Demo) -> dict[str, str]:
    """Of the services, by the name of their container."""
    services = json.loads(on_the_server(demo, "docker-autostart", "status", "--json"))["services"]
    return {service["host"].partition(".")[0]: service["state"] for service in services}


def choose(page: Page, demo: Demo, name: str) -> None:
    page.goto(f"{demo.portal}/api")
    page.get_by_label("API").select_option(value=f"/openapi/{name}.json")
    expect(page.locator(f"[data-path='{UPLOADS[name]}']").first).to_be_visible()


def sign_in(page: Page, demo: Demo, scheme: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".auth-container").filter(has_text={"Bearer": "apiKey", "Basic": "basic"}[scheme])
    if scheme == "Bearer":
        dialog.locator("input").fill(demo.key)
    else:
        dialog.locator("input[name=username]").fill(demo.user)
        dialog.locator("input[name=password]").fill(demo.password)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").click()


def names(page: Page, demo: Demo) -> list[str]:
    """Of the APIs that the portal offers."""
    page.goto(f"{demo.portal}/api")
    return [option.get_attribute("id") or "" for option in page.locator("#api option").all()]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/services",
        "/page/main.js",
        "/services/whisper/jobs",
        "/api",
        "/openapi/faster-whisper.json",
        "/swagger-ui/swagger-ui.css",
        "/status.json",
    ],
)
def test_strangers_see_nothing(demo: Demo, path: str) -> None:
    assert requests.get(demo.portal + path, verify=demo.ca_file, timeout=10).status_code == 401


def test_reading_wakes_nothing(page: Page, demo: Demo) -> None:
    on_the_server(demo, "docker-autostart", "stop", "faster-whisper")
    page.goto(demo.portal)
    page.get_by_role("link", name="Services").click()
    expect(page.locator("[data-host^='whisper.']")).to_have_text("asleep", timeout=UPDATE)
    page.get_by_role("link", name="Read and try the API").first.click()
    expect(page.locator(f"[data-path='{UPLOADS['faster-whisper']}']").first).to_be_visible()
    assert states(demo)["whisper"] == "stopped"


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_a_recording_is_transcribed_by_try_it_out(page: Page, demo: Demo, scheme: str) -> None:
    offered = names(page, demo)
    assert "faster-whisper" in offered
    for name in offered:
        # Not by the request itself, which waits half a minute at most: a busy machine may need longer.
        on_the_server(demo, "docker-autostart", "start", name)
        choose(page, demo, name)
        sign_in(page, demo, scheme)
        operation = page.locator(".opblock-post").filter(has=page.locator(f"[data-path='{UPLOADS[name]}']"))
        operation.locator(".opblock-summary-control").click()
        operation.locator("input[type=file]").set_input_files(RECORDING)
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table")).to_contain_text(WORDS, timeout=LONG)


def test_whoever_is_signed_in_stays_so_with_the_next_api(page: Page, demo: Demo) -> None:
    name = names(page, demo)[0]
    choose(page, demo, name)
    sign_in(page, demo, "Bearer")
    page.get_by_label("API").dispatch_event("change")
    expect(page.locator(".authorize.btn.locked, .btn.authorize.locked").first).to_be_visible()


def test_the_state_of_a_service_in_use_is_shown(page: Page, demo: Demo) -> None:
    on_the_server(demo, "docker-autostart", "start", "faster-whisper")
    page.goto(f"{demo.portal}/services")
    expect(page.locator("[data-host^='whisper.']")).to_have_text("awake", timeout=UPDATE)
