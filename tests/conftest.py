"""The browser, started once for all tests of the page."""

from collections.abc import Iterator

import browser as browsers
import pytest
from playwright.sync_api import Browser, expect, sync_playwright


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)
    path = browsers.find()
    if path is None:
        pytest.fail(browsers.REMEDY)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(browsers.FLAGS))
        yield running
        running.close()
