"""A studio over small random networks of the published architectures."""

import pytest
from small_stack import write_stack

from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.stacks import STACKS


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Small networks in the hub's layout."""
    sources = write_stack(tmp_path_factory.mktemp("hub"))
    return Studio(load(STACKS["kandinsky"], "cpu", sources=sources))
