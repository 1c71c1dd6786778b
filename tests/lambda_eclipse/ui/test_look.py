"""How the page looks in a browser: contrast in both schemes, small screens, what hands find."""

import pytest
from browser import leave, settle, upload, visit
from playwright.sync_api import Browser, Page, expect

from lambda_eclipse.ui.widgets.examples import SUBJECTS

CAT = str(SUBJECTS / "cat-photo.jpg")
LEAST_CONTRAST = 4.5  # to 1, of words; WCAG 2.2, level AA
# The words that are harder to read than that, on the ground that lies behind them. What lies on a
# picture, or has a gradient behind it, is left out.
FAINT = """(least) => {
  const rgba = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return found.length > 3 ? found : [...found, 1];
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => {
    const v = c[i] / 255;
    return sum + share * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const style = getComputedStyle(element);
    if (style.backgroundImage !== 'none') return null;
    const colour = rgba(style.backgroundColor);
    if (colour[3] === 1) return colour;
    const below = ground(element.parentElement);
    return below && over(colour, below);
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  while (words.nextNode()) {
    const element = words.currentNode.parentElement, style = getComputedStyle(element);
    const text = words.currentNode.nodeValue.trim();
    const seen = element.checkVisibility({opacityProperty: true, visibilityProperty: true});
    if (!text || !seen) continue;
    if (parseFloat(style.fontSize) === 0 || element.closest('.le-heard, [disabled]')) continue;
    const back = ground(element);
    if (!back) continue;
    const pair = [light(over(rgba(style.color), back)), light(back)].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < least) faint.push(`${contrast.toFixed(1)} ${element.className} ${text}`);
  }
  return faint;
}"""


def open_all(page: Page) -> None:
    """Two subjects, pictures, and every panel open."""
    page.locator("#examples button").nth(3).click()
    expect(page.locator("#progress")).to_contain_text("Finished")
    for panel in ("#bench", "#edges-panel", "#chosen-panel", "#sampling-panel"):
        page.locator(panel).locator("button").first.click()
    expect(page.locator("#candidates img").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(chrome: Browser, url: str, scheme: str) -> None:
    page, _, errors = visit(chrome, url, color_scheme=scheme)
    assert ("dark" in (page.locator("body").get_attribute("class") or "")) == (scheme == "dark")
    page.locator("#generate").click()
    expect(page.locator(".toast-message-text")).to_be_visible()
    settle(page)
    assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    open_all(page)
    for view in ("Keep", "Explore", "Compose"):
        page.get_by_role("tab", name=view).click()
        settle(page)
        assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    assert not errors
    leave(page)


def test_a_phone_has_generate_at_hand_and_shows_what_is_painted(chrome: Browser, url: str) -> None:
    page, _, _ = visit(chrome, url, viewport={"width": 360, "height": 740}, has_touch=True)
    for place in (0, 10_000):
        page.evaluate(f"window.scrollTo(0, {place})")
        expect(page.locator("#generate")).to_be_in_viewport(ratio=1)
        expect(page.locator("#stop")).to_be_in_viewport(ratio=1)
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.locator("#gallery")).not_to_be_in_viewport()
    page.locator("#prompt textarea").fill("a boat")
    page.locator("#generate").tap()
    expect(page.locator("#gallery img").first).to_be_in_viewport()
    page.get_by_role("tab", name="Explore").tap()
    expect(page.locator("#generate")).not_to_be_visible()
    leave(page)


def test_signs_without_words_say_what_they_do(chrome: Browser, url: str) -> None:
    page, _, _ = visit(chrome, url)
    upload(page, "#picture-1", CAT)
    expect(page.locator("#edit-1")).to_have_attribute("title", "Edit mask and noun of subject 1")
    camera = page.get_by_role("button", name="Subject 2: use the camera")
    expect(camera).to_have_attribute("title", "Subject 2: use the camera")
    leave(page)
