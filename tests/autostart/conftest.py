import pytest
import testinfra
from testinfra.host import Host

from tests.autostart.server import CONTAINER


@pytest.fixture(scope="session")
def host() -> Host:
    """Commands run through `docker exec`, which takes a tenth of a second; SSH takes several times that."""
    return testinfra.get_host(f"docker://{CONTAINER}")
