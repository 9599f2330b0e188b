"""The page for everybody: keyboard, screen readers, phones, languages, colours, and what a browser may load."""

import html
import json
import re

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, HttpCredentials, Page, expect

from tests.browser.conftest import RECORDING, Demo
from tests.browser.steps import choose_text, expect_state, put_transcript, rows, send, sentence, visit

FIRST_LOAD = 150_000
"""Bytes of everything that the page loads, as they are sent."""


def findings(page: Page, part: str | None = None) -> list[str]:
    """What axe-core complains about, in the page or a part of it; the debugger injects it, whatever the policy."""
    violations = Axe().run(page, context=part).response["violations"]
    return [f"{violation['id']}: {[node['html'] for node in violation['nodes']]}" for violation in violations]


@pytest.fixture(params=["light", "dark"])
def coloured(page: Page, request: pytest.FixtureRequest) -> Page:
    page.emulate_media(color_scheme=request.param)
    return page


def test_a_screen_reader_can_read_the_start(coloured: Page, demo: Demo) -> None:
    visit(coloured, demo)
    assert findings(coloured) == []
    coloured.get_by_role("button", name="Record", exact=True).click()
    expect(coloured.get_by_text(re.compile("Recording, 0:0"))).to_be_visible()
    assert findings(coloured) == []


def test_a_screen_reader_can_read_a_transcript(coloured: Page, demo: Demo) -> None:
    put_transcript(coloured, demo, audio=RECORDING)
    assert findings(coloured) == []
    coloured.get_by_text("Export", exact=True).click()
    assert findings(coloured) == []
    coloured.keyboard.press("Escape")
    sentence(coloured, "leisure").focus()
    coloured.keyboard.press("e")
    expect(coloured.get_by_label("Correct the text")).to_be_visible()
    assert findings(coloured) == []


# Swagger UI is as its makers made it.
@pytest.mark.parametrize(("path", "part"), [("/services", None), ("/api", "header.bar")])
def test_a_screen_reader_can_read_the_other_pages(page: Page, demo: Demo, path: str, part: str | None) -> None:
    page.goto(demo.portal + path)
    expect(page.locator("header.bar h1")).to_be_visible()
    assert findings(page, part) == []


@pytest.mark.parametrize("width", [360, 1920])
def test_nothing_is_wider_than_the_screen(page: Page, demo: Demo, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    visit(page, demo)
    assert page.evaluate(fits)
    put_transcript(
        page, demo, audio=RECORDING, title="A very long name of a meeting of the committee for long names " * 2
    )
    assert page.evaluate(fits)
    page.goto(f"{demo.portal}/services")
    assert page.evaluate(fits)


def test_the_keyboard_alone_chooses_a_file_and_opens_a_transcript(page: Page, demo: Demo) -> None:
    put_transcript(page, demo)
    page.goto(f"{demo.portal}/#/")
    expect(rows(page)).to_have_count(1)
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.textContent || document.activeElement.name"
            )
        )
        if seen[-1] == "Team meeting":
            break
    assert "files" in seen
    assert seen[-1] == "Team meeting"
    page.keyboard.press("Enter")
    expect(page.locator(".transcript")).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "title", "other"),
    [("fr-CA", "Transcription audio", "Speech to text"), ("de", "Speech to text", "Transcription audio")],
)
def test_the_language_is_the_browsers_until_another_is_chosen(
    browser: Browser, demo: Demo, locale: str, title: str, other: str
) -> None:
    credentials = HttpCredentials(username=demo.user, password=demo.password, origin=demo.portal)
    with browser.new_context(http_credentials=credentials, locale=locale) as context:
        page = context.new_page()
        page.goto(demo.portal)
        expect(page.locator("header.bar h1")).to_have_text(title)
        assert page.evaluate("document.documentElement.lang") == locale[:2].replace("de", "en")
        page.get_by_role("button", name=re.compile("English|Français")).click()
        expect(page.locator("header.bar h1")).to_have_text(other)
        page.reload()
        expect(page.locator("header.bar h1")).to_have_text(other)


def test_without_javascript_there_is_a_plain_message(browser: Browser, demo: Demo) -> None:
    credentials = HttpCredentials(username=demo.user, password=demo.password, origin=demo.portal)
    with browser.new_context(http_credentials=credentials, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(demo.portal)
        # What is seen: Playwright finds no text within <noscript>.
        shown = page.locator("body").inner_text()
        assert "This page needs JavaScript" in shown
        assert "Cette page a besoin de JavaScript" in shown


def sizes(page: Page) -> list[int]:
    """Bytes of each answer that the page receives from now on."""
    connection = page.context.new_cdp_session(page)
    connection.send("Network.enable")
    received: list[int] = []
    connection.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    return received


def test_a_small_page_loads_and_nothing_from_elsewhere(page: Page, demo: Demo) -> None:
    received = sizes(page)
    addresses: list[str] = []
    page.context.on("request", lambda request: addresses.append(request.url))
    visit(page, demo)
    page.wait_for_load_state("networkidle")
    assert addresses
    assert [address for address in addresses if not address.startswith((f"{demo.portal}/", "data:"))] == []
    assert not [address for address in addresses if "docx" in address]
    assert 0 < sum(received) <= FIRST_LOAD


def test_a_second_visit_only_asks_whether_files_changed(browser: Browser, demo: Demo) -> None:
    # Playwright's credentials would disable the cache.
    with browser.new_context() as context:
        page = context.new_page()
        received = sizes(page)
        page.goto(demo.portal.replace("https://", f"https://{demo.user}:{demo.password}@"))
        expect(page.locator(".recent")).to_be_visible()
        page.wait_for_load_state("networkidle")
        first = sum(received)
        received.clear()
        visit(page, demo)
        page.wait_for_load_state("networkidle")
        assert 0 < sum(received) < first / 3


def test_the_page_can_be_reloaded_again_and_again(page: Page, demo: Demo) -> None:
    """Its files do not use up what an address may request; a file that is missing would be an error in the console."""
    visit(page, demo)
    for _ in range(20):
        page.reload()
        expect(page.locator(".recent")).to_be_visible()
    assert page.evaluate("async () => (await fetch('/services/whisper/jobs')).status") == 200


def test_the_policy_is_strict(faulty_page: Page, demo: Demo) -> None:
    page = faulty_page
    response = page.goto(demo.portal)
    assert response
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    refused = page.evaluate(
        """() => {
            try {
                document.createElement("div").innerHTML = "<b>";
                return false;
            } catch (error) {
                return error instanceof TypeError;
            }
        }"""
    )
    assert refused


@pytest.mark.parametrize("path", ["/", "/services", "/api"])
def test_an_address_with_user_and_password_works(browser: Browser, demo: Demo, path: str) -> None:
    address = demo.portal.replace("https://", f"https://{demo.user}:{demo.password}@")
    complaints: list[str] = []
    with browser.new_context(locale="en") as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address + path)
        shown = {
            "/": page.locator(".recent"),
            "/services": page.get_by_text(re.compile("^(awake|asleep|starting)$")),
            "/api": page.locator(".opblock"),
        }
        expect(shown[path].first).to_be_visible(timeout=15_000)
        states = page.evaluate("async () => (await fetch('/status.json')).status")
        assert states == 200
    # Chromium reports the challenge that it answers with the address's password.
    assert [complaint for complaint in complaints if "401" not in complaint] == []


def with_services(page: Page, demo: Demo, change: str) -> None:
    """Loads the page of a server that deployed other services: what the portal writes into it is changed on the way."""
    answer = requests.get(f"{demo.portal}/", auth=(demo.user, demo.password), verify=demo.ca_file, timeout=10)
    found = re.search(r'data-services="([^"]*)"', answer.text)
    assert found
    services = [service for service in json.loads(html.unescape(found[1])) if service["path"] == change]
    written = html.escape(json.dumps([service | {"speakers": change == "whisperx"} for service in services]))
    body = answer.text.replace(found[0], f'data-services="{written}"')
    policy = {name: answer.headers[name] for name in ("Content-Type", "Content-Security-Policy")}
    # Signs in, once for all files.
    page.goto(f"{demo.portal}/services")
    page.route(f"{demo.portal}/", lambda route: route.fulfill(headers=policy, body=body))
    page.goto(f"{demo.portal}/")


def test_without_whisperx_there_is_text(page: Page, demo: Demo) -> None:
    with_services(page, demo, "whisper")
    expect(page.get_by_role("radio", name="Who said what")).to_be_disabled()
    expect(page.get_by_text("Speaker labels are not set up on this server")).to_be_visible()
    send(page, RECORDING)
    expect_state(page, RECORDING.stem, "Ready")


def test_without_faster_whisper_there_is_both(page: Page, demo: Demo) -> None:
    with_services(page, demo, "whisperx")
    choose_text(page)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        send(page, RECORDING)
    assert sent.value.url == f"{demo.portal}/services/whisperx/v1/audio/transcriptions"
    expect_state(page, RECORDING.stem, "Ready")


def test_without_any_service_the_page_says_so(page: Page, demo: Demo) -> None:
    with_services(page, demo, "none")
    expect(page.get_by_text("No speech-to-text service is deployed")).to_be_visible()
