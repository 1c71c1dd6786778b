"""What the tests of the page's handlers share."""

import pytest
from fakes import FakeStudio

from lambda_eclipse.ui.engine import Engine


@pytest.fixture(scope="module")
def engine() -> Engine:
    """An engine over a studio of fake networks."""
    loaded = Engine(lambda progress: FakeStudio())
    loaded.load()
    return loaded
