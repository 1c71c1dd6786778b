"""The browser of the tests: find one, or install one (`python tests/support/browser.py`)."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOTS = "LAMBDA_ECLIPSE_SHOTS"  # the variable that says where screenshots go
PATIENCE_MS = 240_000  # a busy machine may take this long for anything
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BUNDLES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# Without animations a page is at its end at once, and costs a third less to draw.
STILL = """document.addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = '*, *::before, *::after { animation: none !important;'
    + ' transition: none !important }';
  document.head.append(style); });"""
# Fulfilled once nothing in the page has changed for a fifth of a second.
QUIET = """() => new Promise((done) => {
  let timer;
  const rest = () => { clearTimeout(timer);
    timer = setTimeout(() => { observer.disconnect(); done(); }, 200); };
  const observer = new MutationObserver(rest);
  observer.observe(document.body, {subtree: true, childList: true, attributes: true});
  rest(); })"""
REMEDY = "No Chromium or Chrome was found. Install one, or run: python tests/support/browser.py"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A camera that shows a moving picture, and nobody to ask whether it may.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def find() -> str | None:
    """Path of an installed Chromium or Chrome, else of the one that playwright downloaded."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    found = found or next((path for path in BUNDLES if Path(path).is_file()), None)
    if found is None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            own = playwright.chromium.executable_path
        found = own if Path(own).is_file() else None
    return found


def visit(chrome: "Browser", url: str, **options: Any) -> "tuple[Page, set[str], list[str]]":
    """An open page, the hosts that it has talked to so far, and its script errors."""
    from playwright.sync_api import expect

    page = chrome.new_page(**options)
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(STILL)
    hosts: set[str] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or "inline"))
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Caught from the start: asked for at the last moment, a chooser may open as a window instead.
    page.on("filechooser", lambda _: None)
    page.goto(url)
    expect(page.locator("#generate")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)  # Gradio attaches listeners after it has drawn the page
    return page, hosts, errors


def settle(page: "Page") -> None:
    """Wait until the page changes no more."""
    page.evaluate(QUIET)


def shot(page: "Page", moment: str) -> None:
    """Keep what the page shows, as `<test>-<moment>.png` in the folder of the run's screenshots."""
    test = os.environ["PYTEST_CURRENT_TEST"].rsplit("::", 1)[-1].split(" ", 1)[0]
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{test}-{moment}")
    page.screenshot(path=Path(os.environ[SHOTS]) / f"{name}.png")


def leave(page: "Page") -> None:
    """Close a page, with a last screenshot."""
    shot(page, "end")
    page.close()


def upload(page: "Page", slot: str, path: str) -> None:
    """Give a picture to the upload widget within `slot`."""
    from playwright.sync_api import expect

    page.locator(f"{slot} input[type=file]").first.set_input_files(path)
    expect(page.locator(f"{slot} img").first).to_be_visible()


def name(page: "Page", subject: int | str, word: str) -> None:
    """Name a subject by a word; its number, or its letter in Explore."""
    page.locator(f"#noun-{subject} input, #noun-{subject} textarea").first.fill(word)


def put(page: "Page", widget: str, value: float) -> None:
    """Type a number into a slider."""
    number = page.locator(f"{widget} input[type=number]")
    number.fill(f"{value}")
    number.press("Enter")


def generate(page: "Page") -> None:
    """Press Generate and wait for the pictures."""
    from playwright.sync_api import expect

    page.locator("#generate").click()
    expect(page.locator("#progress")).to_contain_text("Finished")
    expect(page.locator("#gallery img").first).to_be_visible()


def install() -> None:
    """From the system's packages where that is possible, else playwright's own download."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=env)
        done = subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False, env=env)
        if done.returncode == 0:
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def pixels(file: bytes) -> bytes:
    """The pixels of a picture file: signatures, and so files, differ each time."""
    return Image.open(io.BytesIO(file)).tobytes()


if __name__ == "__main__":
    if find() is None:
        install()
    path = find()
    print(f"browser: {path}" if path else REMEDY)
    sys.exit(0 if path else 1)
