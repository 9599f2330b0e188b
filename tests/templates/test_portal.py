"""The portal's pages."""

import re

from tests.templates.conftest import Render

OURS = {
    "name": "faster-whisper",
    "title": "Whisper <fast>",
    "description": "Fast & private.",
    "url": "https://whisper.example.com:8443",
    "container": "faster-whisper",
    "example": 'curl -H "Authorization: Bearer $API_KEY" https://whisper.example.com:8443/',
}
FOREIGN = {"name": "speaches", "title": "Speaches", "url": "https://speaches.example.com"}


def test_a_service_has_its_name_its_address_and_how_to_call_it(render: Render) -> None:
    page = render("portal", "index.html.j2", portal_services=[OURS])
    assert "Whisper &lt;fast&gt;" in page
    assert "Fast &amp; private." in page
    assert "<code>https://whisper.example.com:8443</code>" in page
    assert "curl -H &#34;Authorization: Bearer $API_KEY&#34; https://whisper.example.com:8443/" in page
    assert 'href="/api#faster-whisper"' in page


def test_a_service_that_does_not_describe_itself_leads_to_its_own_documentation(render: Render) -> None:
    page = render("portal", "index.html.j2", portal_services=[FOREIGN])
    assert 'href="https://speaches.example.com/docs"' in page
    assert "/api#speaches" not in page


def test_states_are_those_of_the_hosts_and_only_shown_where_somebody_knows_them(render: Render) -> None:
    page = render("portal", "index.html.j2", portal_services=[OURS], portal_status_file="/run/status.json")
    assert re.findall(r'data-host="([^"]*)"', page) == ["whisper.example.com"]
    assert "data-host" not in render("portal", "index.html.j2", portal_services=[OURS])


def test_the_selector_has_every_described_api(render: Render) -> None:
    page = render("portal", "api.html.j2", portal_services=[OURS, FOREIGN])
    assert re.findall(r'<option id="([^"]*)" value="([^"]*)"', page) == [
        ("faster-whisper", "/openapi/faster-whisper.json")
    ]


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(render: Render) -> None:
    """What the Content-Security-Policy forbids."""
    for template in ("index.html.j2", "api.html.j2"):
        page = render("portal", template, portal_services=[OURS], portal_status_file="/run/status.json")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
        addresses = re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]*)"', page)
        assert addresses
        assert [address for address in addresses if not re.match(r"/[^/]|data:,$", address)] == []
