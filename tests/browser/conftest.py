"""The deployed demo in a browser. `make test-browser` sets the environment from .demo/env."""

import base64
import hashlib
import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext, HttpCredentials, Page, expect, sync_playwright

# Milliseconds for the page to show something: `make test` runs these tests beside a deployment, on the same CPUs.
expect.set_options(timeout=20_000)


@dataclass(frozen=True)
class Demo:
    """What .demo/env says."""

    services: tuple[str, ...]
    portal: str
    user: str
    password: str = field(repr=False)
    key: str = field(repr=False)
    ca_file: str
    container: str


@pytest.fixture(scope="session")
def demo() -> Demo:
    return Demo(
        services=(os.environ["WHISPER_URL"], os.environ["WHISPERX_URL"]),
        portal=os.environ["PORTAL_URL"],
        user=os.environ["BASIC_USER"],
        password=os.environ["BASIC_PASSWORD"],
        key=os.environ["API_KEY"],
        ca_file=os.environ["CA_FILE"],
        container=os.environ["VPS_CONTAINER"],
    )


def public_key_of(url: str, ca_file: str) -> str | None:
    """SHA-256 of the public key of a site's certificate, as Chromium names keys; None where nobody serves the site.

    The certificate is checked against the demo's own authority here, for Chromium asks its own store alone.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    context = ssl.create_default_context(cafile=ca_file)
    with socket.create_connection(("127.0.0.1", parts.port or 443), timeout=10) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=parts.hostname) as secured:
                certificate = secured.getpeercert(binary_form=True)
        except ssl.SSLError as error:
            # nginx rejects the handshake for a name that is none of its sites.
            if error.reason == "TLSV1_UNRECOGNIZED_NAME":
                return None
            raise
    assert certificate is not None
    key = x509.load_der_x509_certificate(certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()


SPEECH = Path(__file__).parents[2] / ".cache/speech"
RECORDING = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
"""Seven seconds, in which WORDS are said."""
WORDS = "leisure to consider"


@pytest.fixture(scope="session")
def browser(demo: Demo) -> Iterator[Browser]:
    keys = [public_key_of(url, demo.ca_file) for url in (demo.portal, *demo.services)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                f"--ignore-certificate-errors-spki-list={','.join(key for key in keys if key)}",
                # A microphone into which somebody reads a recording, again and again.
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={RECORDING}",
                "--autoplay-policy=no-user-gesture-required",
            ],
            # Root, as in a container, gets no sandbox from the kernel; the pages are our own.
            chromium_sandbox=os.geteuid() != 0,
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, demo: Demo) -> Iterator[BrowserContext]:
    """A window of somebody who signs in to the portal, and to nothing else, when the portal asks."""
    credentials = HttpCredentials(username=demo.user, password=demo.password, origin=demo.portal)
    with browser.new_context(
        http_credentials=credentials,
        viewport={"width": 1200, "height": 1000},
        color_scheme="light",
        locale="en-GB",
        permissions=["clipboard-read", "clipboard-write"],
    ) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose console must stay without errors and whose scripts must not fail."""
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


@pytest.fixture
def faulty_page(context: BrowserContext) -> Iterator[Page]:
    """A page whose requests may fail, which Chromium reports to the console; its scripts must not."""
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
