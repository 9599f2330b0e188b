"""The portal's pages."""

import html
import json
import re

import pytest

from tests.templates.conftest import ROLES, Evaluate, Render

OURS = {
    "name": "faster-whisper",
    "title": "Whisper <fast>",
    "description": "Fast & private.",
    "url": "https://whisper.example.com:8443",
    "container": "faster-whisper",
    "path": "whisper",
    "upload_limit": "20M",
    "example": 'curl -H "Authorization: Bearer $API_KEY" https://whisper.example.com:8443/',
}
FOREIGN = {"name": "speaches", "title": "Speaches", "url": "https://speaches.example.com"}


def test_a_service_has_its_name_its_address_and_how_to_call_it(render: Render) -> None:
    page = render("portal", "services.html.j2", portal_services=[OURS])
    assert "Whisper &lt;fast&gt;" in page
    assert "Fast &amp; private." in page
    assert "<code>https://whisper.example.com:8443</code>" in page
    assert "curl -H &#34;Authorization: Bearer $API_KEY&#34; https://whisper.example.com:8443/" in page
    assert 'href="/api#faster-whisper"' in page


def test_a_service_that_does_not_describe_itself_leads_to_its_own_documentation(render: Render) -> None:
    page = render("portal", "services.html.j2", portal_services=[FOREIGN])
    assert 'href="https://speaches.example.com/docs"' in page
    assert "/api#speaches" not in page


def test_states_are_those_of_the_hosts_and_only_shown_where_somebody_knows_them(render: Render) -> None:
    page = render("portal", "services.html.j2", portal_services=[OURS], portal_status_file="/run/status.json")
    assert re.findall(r'data-host="([^"]*)"', page) == ["whisper.example.com"]
    assert "data-host" not in render("portal", "services.html.j2", portal_services=[OURS])


def test_the_selector_has_every_described_api(render: Render) -> None:
    page = render("portal", "api.html.j2", portal_services=[OURS, FOREIGN])
    assert re.findall(r'<option id="([^"]*)" value="([^"]*)"', page) == [
        ("faster-whisper", "/openapi/faster-whisper.json")
    ]


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(render: Render) -> None:
    """What the Content-Security-Policy forbids."""
    for template in ("index.html.j2", "services.html.j2", "api.html.j2"):
        page = render("portal", template, portal_services=[OURS], portal_status_file="/run/status.json")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
        addresses = re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]*)"', page)
        assert addresses
        assert [address for address in addresses if not re.match(r"/[^/]|data:,$", address)] == []


def test_the_page_knows_the_services_that_it_calls(render: Render) -> None:
    speakers = OURS | {
        "name": "x",
        "path": "x",
        "title": "</body>\"'",
        "url": "https://x.example.com",
        "upload_limit": "1g",
        "speakers": True,
    }
    page = render("portal", "index.html.j2", portal_services=[OURS, FOREIGN, speakers])
    found = re.search(r'<body data-services="([^"]*)">', page)
    assert found
    assert json.loads(html.unescape(found[1])) == [
        {
            "path": "whisper",
            "host": "whisper.example.com",
            "title": "Whisper <fast>",
            "limit": 20 * 1024**2,
            "speakers": False,
        },
        {"path": "x", "host": "x.example.com", "title": "</body>\"'", "limit": 1024**3, "speakers": True},
    ]


def test_the_page_loads_what_it_needs_at_once_and_word_documents_later(render: Render) -> None:
    page = render("portal", "index.html.j2", portal_services=[OURS])
    loaded = set(re.findall(r'<link rel="modulepreload" href="/page/([^"]+)">', page))
    modules = {path.name for path in (ROLES / "portal/files/page").glob("*.js")}
    assert modules - loaded == {"docx.js", "zip.js"}
    assert loaded <= modules


@pytest.mark.parametrize("module", sorted(path.name for path in (ROLES / "portal/files/page").glob("*.js")))
def test_a_module_imports_only_what_is_deployed(evaluate: Evaluate, module: str) -> None:
    deployed = {entry["path"] for entry in evaluate("portal", "__portal_pages", portal_directory="/www")}
    text = (ROLES / "portal/files/page" / module).read_text(encoding="utf-8")
    imported = re.findall(r"""from "(.*?)";|\bimport\("(.*?)"\)""", re.sub(r"/\*\*.*?\*/", "", text, flags=re.DOTALL))
    assert {f"/www/page/{(static or dynamic).removeprefix('./')}" for static, dynamic in imported} <= deployed


def test_a_page_without_javascript_has_a_message_in_both_languages(render: Render) -> None:
    page = render("portal", "index.html.j2", portal_services=[OURS])
    message = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "needs JavaScript" in message
    assert 'lang="fr"' in message
