"""The page for people on the running demo, in Chromium: loading, three hours of transcript, typing and seeking."""

import base64
import hashlib
import re
import shutil
import ssl
import statistics
import time
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.rows import Row, below
from demo.transcribe import read_env

ROOT = Path(__file__).parents[1]
SEGMENTS = 2500
SECONDS_EACH = 4.3
REPEATS = 5

# Stores a transcript and a silent recording of its length with the page's own modules. Returns its id.
STORE = """async ([count, each]) => {
    const recordings = await import("/page/recordings.js");
    const options = { speakers: true, language: "", count: null, words: "" };
    const about = { title: "Three hours", fileName: "a.wav", bytes: 1, type: "audio/wav", options, service: "whisper" };
    const { id } = await recordings.add({ ...about, state: "done", kept: true });
    const rate = 8000;
    const length = Math.ceil(count * each) * rate;
    const head = new DataView(new ArrayBuffer(44));
    [0x52494646, 0, 0x57415645, 0x666d7420].forEach((word, at) => head.setUint32(4 * at, word));
    head.setUint32(4, 36 + length, true);
    [[16, 16], [24, rate], [28, rate], [40, length]].forEach(([at, value]) => head.setUint32(at, value, true));
    [[20, 1], [22, 1], [32, 1], [34, 8]].forEach(([at, value]) => head.setUint16(at, value, true));
    head.setUint32(36, 0x64617461);
    await recordings.putAudio(id, new Blob([head, new Uint8Array(length).fill(128)], { type: "audio/wav" }), true);
    const text = "We should ship it on Friday, whatever the weather and whoever objects to that.";
    const segments = Array.from({ length: count }, (_, at) => ({
        start: at * each,
        end: at * each + 4,
        text: `${text} ${at}`,
        speaker: `SPEAKER_0${Math.floor(at / 3) % 4}`,
        words: text.split(" ").map((word, place) => ({
            start: at * each, end: at * each + 1, text: word, probability: place === 5 ? 0.3 : 0.9,
        })),
    }));
    await recordings.putTranscript(id, { language: "en", segments });
    return id;
}"""

# Milliseconds from the change of the address to the painted transcript.
RENDER = """async ([id, count]) => {
    const start = performance.now();
    location.hash = `#/transcript/${id}`;
    while (document.querySelectorAll(".segment").length < count) await new Promise((resolve) => setTimeout(resolve));
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    return performance.now() - start;
}"""

# Milliseconds from a click on a sentence to its mark, which the player sets when it is there.
SEEK = """async (number) => {
    const span = document.querySelectorAll(".segment")[number];
    const start = performance.now();
    const marked = new Promise((resolve) => {
        const look = () => span.classList.contains("current") && resolve();
        new MutationObserver(look).observe(span, { attributes: true });
    });
    span.click();
    await marked;
    return performance.now() - start;
}"""

# Event Timing: from a key to the next paint.
WATCH_KEYS = """() => {
    globalThis.keys = [];
    const isKey = ({ name }) => name === "keydown" || name === "input";
    const note = (list) => keys.push(...list.getEntries().filter(isKey).map(({ duration }) => duration));
    new PerformanceObserver(note).observe({ type: "event", durationThreshold: 16 });
}"""


def spki(url: str, ca_file: str) -> str:
    """SHA-256 of the public key of a site's certificate, as Chromium names keys."""
    parts = urlsplit(url)
    certificate = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), ca_certs=ca_file)
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()


def loading(page: Page, url: str) -> float:
    """Seconds until the page can be used."""
    start = time.monotonic()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(".recent")
    return time.monotonic() - start


def typing(page: Page) -> float:
    """The slowest key of a sentence that is typed in the middle of the transcript, in milliseconds."""
    page.evaluate(WATCH_KEYS)
    page.locator(".segment").nth(SEGMENTS // 2).focus()
    page.keyboard.press("e")
    page.keyboard.type(" and so we did, in the end, all of us", delay=30)
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    return max(page.evaluate("keys"), default=0.0)


def measure(*, warm: bool) -> list[Row]:
    """Measure on the demo that runs; there is nothing that `warm` would leave out."""
    del warm
    env = read_env(ROOT / ".demo/env")
    url = env["PORTAL_URL"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                f"--ignore-certificate-errors-spki-list={spki(url, env['CA_FILE'])}",
                "--autoplay-policy=no-user-gesture-required",
            ],
            chromium_sandbox=False,
        )
        context = browser.new_context(
            http_credentials={"username": env["BASIC_USER"], "password": env["BASIC_PASSWORD"], "origin": url}
        )
        page = context.new_page()
        first = loading(page, url)
        again = statistics.median(loading(page, url) for _ in range(REPEATS))
        stored = page.evaluate(STORE, [SEGMENTS, SECONDS_EACH])
        render = page.evaluate(RENDER, [stored, SEGMENTS])
        expect(page.locator(".player .time")).to_have_text(re.compile(r"/ 2:59:10$"))
        seeks = [page.evaluate(SEEK, number) for number in (2400, 10, 1200, 700, 1900)]
        key = typing(page)
        browser.close()
    return [
        below("page ready, first load", first, "s", 1),
        below("page ready, later loads, median", again, "s", 1),
        below(f"transcript of three hours, {SEGMENTS} segments, painted", render, "ms", 1000),
        below("a click on a sentence until the player is there, median of 5", statistics.median(seeks), "ms", 50),
        below("a key typed in a sentence until it is painted, slowest", key, "ms", 50),
    ]
