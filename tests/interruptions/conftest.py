"""The deployed demo in a browser, as in tests/browser."""

from tests.browser.conftest import browser, context, demo, faulty_page, page

__all__ = ["browser", "context", "demo", "faulty_page", "page"]
