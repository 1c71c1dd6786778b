"""Pictures that come by clipboard, camera, and drops anywhere on the page, in a real browser."""

import base64
import urllib.request
from collections.abc import Iterator

import pytest
from browser import leave, pixels, settle, visit
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lambda_eclipse.ui.widgets.examples import SUBJECTS

CAT = (SUBJECTS / "cat-1.png").read_bytes()
FILE = """const file = async (data, name) => new File(
  [await (await fetch('data:image/png;base64,' + data)).blob()], name, {type: 'image/png'});"""
COPY = f"""async (data) => {{ {FILE}
  const picture = new Blob([await file(data, 'copied.png')], {{type: 'image/png'}});
  await navigator.clipboard.write([new ClipboardItem({{'image/png': picture}})]); }}"""
DROP = f"""async ([target, data]) => {{ {FILE}
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(await file(data, 'dropped.png'));
  for (const kind of ['dragenter', 'dragover', 'drop']) document.querySelector(target)
    .dispatchEvent(new DragEvent(kind, {{bubbles: true, cancelable: true, dataTransfer}})); }}"""


@pytest.fixture
def context(chrome: Browser) -> Iterator[BrowserContext]:
    found = chrome.new_context(permissions=["clipboard-read", "clipboard-write", "camera"])
    yield found
    found.close()


def drop(page: Page, target: str, content: bytes) -> None:
    page.evaluate(DROP, [target, base64.b64encode(content).decode()])


def test_a_picture_is_pasted(context: BrowserContext, url: str) -> None:
    page, _, errors = visit(context, url)
    page.evaluate(COPY, base64.b64encode(CAT).decode())
    page.get_by_role("button", name="Subject 1: paste").click()
    expect(page.locator("#seen-1 img")).to_be_visible()
    page.locator("#picture-3 button").first.focus()
    page.keyboard.press("Control+V")
    expect(page.locator("#seen-3 img")).to_be_visible()
    page.locator("#prompt textarea").click()
    page.keyboard.press("Control+V")
    expect(page.locator("#seen-2 img")).to_be_visible()  # the first that is empty
    expect(page.locator("#prompt textarea")).to_have_value("")
    page.evaluate("navigator.clipboard.writeText('a cat')")
    page.keyboard.press("Control+V")
    expect(page.locator("#prompt textarea")).to_have_value("a cat")
    expect(page.locator("#picture-4 img")).to_have_count(0)
    assert not errors
    leave(page)


def test_a_photo_is_taken(context: BrowserContext, url: str) -> None:
    page, hosts, errors = visit(context, url)
    for what in ("use the camera", "turn on the camera", "take a photo"):
        page.get_by_role("button", name=f"Subject 1: {what}").click()
    expect(page.locator("#seen-1 img")).to_be_visible()
    expect(page.locator("#seen-note-1")).not_to_be_empty()
    assert hosts <= {"127.0.0.1", "inline"}, hosts
    assert not errors
    leave(page)


def test_a_drop_beside_any_place_is_taken(context: BrowserContext, url: str) -> None:
    page, _, errors = visit(context, url)
    drop(page, "#title", CAT)
    expect(page.locator("#seen-1 img")).to_be_visible()
    drop(page, "#picture-4 button", CAT)
    expect(page.locator("#seen-4 img")).to_be_visible()
    expect(page.locator("#picture-2 img")).to_have_count(0)
    page.get_by_role("tab", name="Explore").click()
    drop(page, "#title", CAT)
    expect(page.locator("#corner-a1 img").first).to_be_visible()
    assert not errors
    leave(page)


def test_a_dropped_png_restores_its_form_and_its_picture(context: BrowserContext, url: str) -> None:
    page, _, errors = visit(context, url)
    page.locator("#examples button").first.click()
    expect(page.locator("#progress")).to_contain_text("Finished")
    prompt = page.locator("#prompt textarea").input_value()
    address = page.locator("#gallery img").first.get_attribute("src")
    saved = urllib.request.urlopen(address).read()
    page.reload()
    for _ in range(2):  # the place for it is free again each time
        page.locator("#prompt textarea").fill("something else")
        drop(page, "#title", saved)
        expect(page.locator("#prompt textarea")).to_have_value(prompt)
        expect(page.get_by_role("tab", name="Compose")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#progress")).to_contain_text("Finished")
        again = page.locator("#gallery img").first.get_attribute("src")
        assert pixels(urllib.request.urlopen(again).read()) == pixels(saved)
        settle(page)
    page.get_by_role("tab", name="Keep").click()
    expect(page.locator("#restore-found")).to_contain_text("No differences")
    drop(page, "#restore-file button", CAT)
    expect(page.locator(".toast-message-text")).to_contain_text("no recipe in this picture")
    expect(page.locator("#restore-file input[type=file]")).to_have_count(1)
    assert not errors
    leave(page)
