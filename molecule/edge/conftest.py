"""What the tests after the first run use."""

import os
from pathlib import Path

import pytest
import requests

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> str:
    """File with the root certificates of the two ACME directories."""
    roots = [
        requests.get(f"https://acme.test:{port}/roots/0", verify=str(EPHEMERAL / "acme-ca.pem"), timeout=10).text
        for port in (15000, 15001)
    ]
    file = tmp_path_factory.mktemp("acme") / "roots.pem"
    file.write_text("\n".join(roots))
    return str(file)
