"""Fixtures shared by the tests of the page, and the markers of all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import browser as browsers
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

if TYPE_CHECKING:
    from lambda_eclipse.ui.visit import Visit


# Two processes on two cores: threads of both would wait for each other. Set before torch is there.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Fixtures of what takes seconds: a browser, a server, whole networks.
SLOW_FIXTURES = {"chrome", "url", "slow_url", "demo", "address", "client"}
# Folders and modules that train networks, start processes or paint with whole stacks.
SLOW_PATHS = (
    "lambda_eclipse/test_cli.py",
    "lambda_eclipse/test_decoder.py",
    "lambda_eclipse/test_finetune.py",
    "lambda_eclipse/test_masking.py",
    "lambda_eclipse/ui/test_teach.py",
    "lambda_eclipse/ui/test_mcp.py",
    "lambda_eclipse/ui/test_ui.py",
    "test_shipped.py",
    "train/data/test_caption_pipeline.py",
    "train/pocket/",
    "train/prior/test_prior_trainer.py",
    "train/test_train.py",
    "train/test_train_your_own.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test `slow` or `fast`: slow by its mark, its fixtures or its path."""
    tests = Path(__file__).parent
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        path = item.path.relative_to(tests).as_posix()
        slow = needs & SLOW_FIXTURES or path.startswith(SLOW_PATHS)
        slow = slow or item.get_closest_marker("slow")
        item.add_marker("slow" if slow else "fast")


@pytest.fixture(scope="session", autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep uploads apart from those of other runs, which would share files; and the user's key."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("uploads"))
    os.environ["LAMBDA_ECLIPSE_DATA"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    expect.set_options(timeout=60_000)
    os.environ.setdefault(browsers.SHOTS, str(tmp_path_factory.mktemp("screenshots")))
    path = browsers.find()
    if path is None:
        pytest.fail(browsers.REMEDY)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(browsers.FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a page over fake networks; what each visit does there is its own."""
    yield from served(step_s=0.01)


@pytest.fixture
def slow_url() -> Iterator[str]:
    """As `url`, where there is time to watch a picture take shape and to stop it."""
    yield from served(step_s=0.05, tires_after=120)


@pytest.fixture
def visit() -> "Iterator[Visit]":
    """A visit of its own, whose files go with it."""
    from lambda_eclipse.ui.visit import Visit

    found = Visit()
    yield found
    found.delete()


def served(step_s: float, tires_after: float = float("inf")) -> Iterator[str]:
    """The address of a page over networks that take their time, as `FakeStudio` says."""
    from fakes import FakeStudio  # not above: most tests do without the page

    from lambda_eclipse.ui.engine import Engine
    from lambda_eclipse.ui.page import build, launch

    engine = Engine(lambda progress: FakeStudio(step_s, tires_after))
    engine.load()
    page = build(engine)
    launch(page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()
