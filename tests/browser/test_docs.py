"""The documentation that each service has, which runs under its own Content-Security-Policy."""

import pytest
from playwright.sync_api import Browser, HttpCredentials, expect

from tests.browser.conftest import RECORDING, WORDS, Demo
from tests.browser.test_portal import LONG, UPLOADS, on_the_server


@pytest.mark.parametrize("name", UPLOADS)
def test_a_recording_is_transcribed_by_a_signed_in_user(browser: Browser, demo: Demo, name: str) -> None:
    url = dict(zip(UPLOADS, demo.services, strict=True))[name]
    on_the_server(demo, "docker-autostart", "start", name)
    complaints: list[str] = []
    credentials = HttpCredentials(username=demo.user, password=demo.password, origin=url)
    with browser.new_context(http_credentials=credentials) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{url}/docs")
        operation = page.locator(".opblock-post").filter(has=page.locator(f"[data-path='{UPLOADS[name]}']"))
        operation.locator(".opblock-summary-control").click()
        operation.locator("input[type=file]").set_input_files(RECORDING)
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table")).to_contain_text(WORDS, timeout=LONG)
    assert complaints == []


def test_a_form_on_another_site_is_refused(browser: Browser, demo: Demo) -> None:
    """A browser adds the user's password to it, and says where it comes from."""
    (url, *_) = demo.services
    form = (
        f'<form method="post" enctype="multipart/form-data" action="{url}/v1/audio/transcriptions"><button>go</button>'
    )
    credentials = HttpCredentials(username=demo.user, password=demo.password, origin=url)
    with browser.new_context(http_credentials=credentials) as context:
        page = context.new_page()
        page.goto(f"{url}/docs")
        page.route("https://evil.example.com/", lambda route: route.fulfill(body=form, content_type="text/html"))
        page.goto("https://evil.example.com/")
        with page.expect_navigation(url=f"{url}/**") as navigation:
            page.get_by_role("button", name="go").click()
        assert navigation.value is not None
        assert navigation.value.status == 403
        expect(page.locator("body")).to_contain_text("another site")
