"""What the tests of upgrades share."""

import os
from pathlib import Path

import pytest

from testbed.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy of the project, which deploys to the servers of the scenario."""
    return Checkout(tmp_path / "checkout", Path(os.environ["MOLECULE_INVENTORY_FILE"]))
