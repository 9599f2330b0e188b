"""The deployed demo, as in tests/api."""

from tests.api.conftest import demo, services, trust

__all__ = ["demo", "services", "trust"]
