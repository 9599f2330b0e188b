"""A transcript is read, heard, corrected and taken along."""

import json
from pathlib import Path

import docx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import RECORDING, Demo
from tests.browser.steps import correct, eventually, put_transcript, sentence

NOW = "document.querySelector('.player input[type=range]').valueAsNumber"


@pytest.fixture
def opened(page: Page, demo: Demo) -> Page:
    """The transcript of a meeting, with its recording."""
    put_transcript(page, demo, audio=RECORDING)
    expect(page.locator(".player .time")).to_have_text("0:00 / 0:07")
    return page


def export(page: Page, name: str, folder: Path) -> Path:
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_turns_have_their_speaker_and_time(opened: Page) -> None:
    turns = opened.locator(".turn")
    expect(turns).to_have_count(3)
    expect(turns.nth(1)).to_contain_text("0:02")
    expect(turns.nth(1).locator(".speaker")).to_have_text("Speaker 2")
    expect(opened.locator(".speakers .bar path")).to_have_count(2)


def test_a_click_on_a_sentence_plays_it_and_the_text_follows(opened: Page) -> None:
    sentence(opened, "how much there might be").click()
    expect(sentence(opened, "how much there might be")).to_have_class("segment current")
    eventually(opened, f"{NOW} > 4.3")
    expect(sentence(opened, "prudence")).to_have_class("segment current", timeout=10_000)
    opened.get_by_role("button", name="Pause").click()
    expect(opened.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_the_keyboard_alone_plays_moves_and_changes_the_speed(opened: Page) -> None:
    opened.get_by_role("region", name="Transcript").focus()
    opened.keyboard.press("ArrowDown")
    expect(sentence(opened, "John Dashwood")).to_be_focused()
    opened.keyboard.press("ArrowDown")
    expect(sentence(opened, "leisure")).to_be_focused()
    opened.keyboard.press("Enter")
    eventually(opened, f"{NOW} > 2")
    opened.keyboard.press(" ")
    expect(opened.get_by_role("button", name="Play", exact=True)).to_be_visible()
    before = opened.evaluate(NOW)
    opened.keyboard.press("ArrowLeft")
    eventually(opened, f"{NOW} < {before}")
    opened.keyboard.press("ArrowRight")
    eventually(opened, f"{NOW} > 4")
    opened.keyboard.press(">")
    expect(opened.get_by_label("Speed")).to_have_value("1.25")
    opened.keyboard.press("ArrowUp")
    expect(sentence(opened, "John Dashwood")).to_be_focused()


def test_a_doubtful_word_is_underlined(opened: Page) -> None:
    doubtful = opened.locator(".doubtful")
    expect(doubtful).to_have_text(["leisure"])
    expect(doubtful).to_have_css("text-decoration-line", "underline")
    expect(opened.get_by_text("Underlined words are doubtful")).to_be_visible()


def test_markup_in_a_transcript_is_only_words(opened: Page) -> None:
    expect(sentence(opened, "<script>alert(1)</script>")).to_be_visible()
    assert opened.locator(".transcript script").count() == 0
    opened.get_by_label("Name of Speaker 1").fill("<img src=x onerror=alert(1)>")
    opened.keyboard.press("Enter")
    expect(opened.locator(".turn .speaker").first).to_have_text("<img src=x onerror=alert(1)>")


def test_a_speaker_is_renamed_once_for_all(opened: Page) -> None:
    opened.get_by_label("Name of Speaker 1").fill("Anna")
    opened.keyboard.press("Tab")
    expect(opened.locator(".turn .speaker")).to_have_text(["Anna", "Speaker 2", "Anna"])
    opened.reload()
    expect(opened.locator(".turn .speaker")).to_have_text(["Anna", "Speaker 2", "Anna"])


def test_a_correction_is_kept_and_can_be_taken_back(opened: Page) -> None:
    correct(opened, "leisure", "had then pleasure to consider")
    expect(opened.locator(".doubtful")).to_have_count(0)
    opened.reload()
    expect(sentence(opened, "pleasure")).to_be_visible()
    opened.get_by_role("button", name="Undo").click()
    expect(sentence(opened, "leisure")).to_be_visible()
    opened.get_by_role("button", name="Redo").click()
    expect(sentence(opened, "pleasure")).to_be_visible()
    sentence(opened, "pleasure").focus()
    opened.keyboard.press("Control+z")
    expect(sentence(opened, "leisure")).to_be_visible()


def test_a_correction_can_be_discarded_and_leaving_the_field_saves(opened: Page) -> None:
    sentence(opened, "leisure").focus()
    opened.keyboard.press("e")
    opened.get_by_label("Correct the text").fill("nonsense")
    opened.keyboard.press("Escape")
    expect(sentence(opened, "leisure")).to_be_focused()
    opened.keyboard.press("e")
    opened.get_by_label("Correct the text").fill("had then time")
    opened.get_by_label("Name of the transcript").focus()
    expect(sentence(opened, "had then time")).to_be_visible()
    expect(opened.get_by_label("Name of the transcript")).to_be_focused()


def test_text_is_found_regardless_of_accents(opened: Page) -> None:
    find = opened.get_by_role("searchbox", name="Find")
    find.fill("cafe")
    expect(opened.locator(".find [role=status]")).to_have_text("1 of 1")
    assert opened.evaluate("[...CSS.highlights.get('found')].map(String)") == ["Café"]
    find.fill("a")
    expect(opened.locator(".find [role=status]")).to_have_text("1 of 5")
    opened.keyboard.press("Enter")
    expect(opened.locator(".find [role=status]")).to_have_text("2 of 5")
    find.fill("xyz")
    expect(opened.locator(".find [role=status]")).to_have_text("Not found")


def test_exports_have_the_corrections(opened: Page, tmp_path: Path) -> None:
    opened.get_by_label("Name of Speaker 1").fill("Anna & co")
    correct(opened, "leisure", "had then pleasure")
    for name, ending in (("Text", "txt"), ("Markdown", "md"), ("srt", "srt"), ("vtt", "vtt"), ("json", "json")):
        path = export(opened, name, tmp_path)
        assert path.name == f"Team meeting.{ending}"
        text = path.read_text(encoding="utf-8")
        assert "had then pleasure" in text
        assert "leisure" not in text
        assert ("Anna &amp; co" if ending == "vtt" else "Anna \\& co" if ending == "md" else "Anna & co") in text
    assert [segment["start"] for segment in json.loads(path.read_text())["segments"]] == [0, 2, 4, 5.5]


def test_word_opens_the_document(opened: Page, tmp_path: Path) -> None:
    opened.get_by_label("Name of Speaker 1").fill("Anna & co")
    correct(opened, "leisure", "had then pleasure")
    document = docx.Document(str(export(opened, "Word", tmp_path)))
    title, *turns = document.paragraphs
    assert (title.text, title.style and title.style.name) == ("Team meeting", "Title")
    assert [turn.text for turn in turns] == [
        "0:00  Anna & co  And Mr. John Dashwood",
        "0:02  Speaker 2  had then pleasure how much there might be <script>alert(1)</script>",
        "0:05  Anna & co  Café & prudence.",
    ]


def test_the_text_is_copied_and_printed_without_controls(opened: Page) -> None:
    opened.get_by_role("button", name="Copy").click()
    expect(opened.get_by_role("button", name="Copied")).to_be_visible()
    copied = opened.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("[0:00] Speaker 1: And Mr. John Dashwood\n")
    opened.emulate_media(media="print")
    expect(opened.get_by_role("heading", name="Team meeting")).to_be_visible()
    for hidden in (".player", ".tools", "header.bar"):
        expect(opened.locator(hidden)).to_be_hidden()


def test_a_title_is_changed(opened: Page) -> None:
    opened.get_by_label("Name of the transcript").fill("Budget 2027")
    opened.keyboard.press("Tab")
    opened.get_by_role("link", name="All transcripts").click()
    expect(opened.get_by_role("link", name="Budget 2027")).to_be_visible()


def test_recordings_can_be_forgotten_and_given_again(opened: Page) -> None:
    opened.get_by_role("link", name="All transcripts").click()
    expect(opened.locator(".space")).to_contain_text("Recordings in this browser")
    opened.once("dialog", lambda dialog: dialog.accept())
    opened.get_by_role("button", name="Delete all recordings").click()
    expect(opened.locator(".space")).to_be_hidden()
    opened.get_by_role("link", name="Team meeting").click()
    expect(opened.locator(".player")).to_contain_text("The recording is not in this browser")
    opened.locator(".player input[type=file]").set_input_files(RECORDING)
    expect(opened.locator(".player .time")).to_have_text("0:00 / 0:07")


def test_two_tabs_lose_nothing_of_each_other(context: BrowserContext, page: Page, demo: Demo) -> None:
    put_transcript(page, demo)
    other = context.new_page()
    other.goto(page.url)
    correct(page, "leisure", "one")
    correct(other, "prudence", "two")
    for tab in (page, other):
        expect(sentence(tab, "one")).to_be_visible()
        expect(sentence(tab, "two")).to_be_visible()
    other.close()


def test_three_hours_of_transcript_stay_usable(page: Page, demo: Demo) -> None:
    segments = [
        {
            "start": at * 4.3,
            "end": at * 4.3 + 4,
            "text": f"This is sentence number {at}.",
            "speaker": f"SPEAKER_0{at // 3 % 4}",
        }
        for at in range(2500)
    ]
    put_transcript(page, demo, segments)
    expect(page.locator(".segment")).to_have_count(2500)
    page.keyboard.press("End")
    page.get_by_role("searchbox", name="Find").fill("number 2499.")
    expect(page.locator(".find [role=status]")).to_have_text("1 of 1")
    expect(sentence(page, "number 2499.")).to_be_in_viewport()
    correct(page, "number 2499.", "The end.")
    expect(sentence(page, "The end.")).to_be_in_viewport()
