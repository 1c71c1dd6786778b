"""Painting in a browser: a brush, edges, what is told and shown meanwhile, and what comes after."""

import re
import urllib.request

from browser import generate, leave, name, put, settle, shot, upload, visit
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from lambda_eclipse.ui.widgets.examples import SUBJECTS

CAT, HAT = str(SUBJECTS / "cat-photo.jpg"), str(SUBJECTS / "hat-1.png")


def stroke(page: Page, canvas: Locator) -> None:
    """Draw a line across the middle of a canvas."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    across, middle = box["width"] / 20, box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 6 * across, middle)
    page.mouse.down()
    for step in range(7, 15):
        page.mouse.move(box["x"] + step * across, middle + step)
    page.mouse.up()


def compose(page: Page) -> None:
    """A form with two subjects."""
    page.locator("#prompt textarea").fill("a cat wearing a hat")
    for number, (noun, picture) in enumerate((("cat", CAT), ("hat", HAT)), start=1):
        upload(page, f"#picture-{number}", picture)
        name(page, number, noun)
        expect(page.locator(f"#seen-{number} img")).to_be_visible()


def test_a_mask_is_mended_and_a_card_kept(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url)
    upload(page, "#picture-1", CAT)
    name(page, 1, "cat")
    expect(page.locator("#overlay-1 img")).to_be_visible()
    page.get_by_role("button", name="Edit mask and noun of subject 1").click()
    expect(page.locator("#candidates button").nth(1)).to_be_visible()
    with page.expect_response(re.compile("/upload")):
        stroke(page, page.locator("#brush canvas").first)
    shot(page, "brushed")
    settle(page)
    page.locator("#brush-apply").click()
    expect(page.locator("#seen-note-1")).to_contain_text("Painted mask")
    page.locator("#card-save").click()
    expect(page.locator("#card-file a[href$='/cat.card.png']")).to_be_visible()

    page.get_by_role("tab", name="Keep").click()
    expect(page.locator("#shelf img")).to_have_count(len(list(SUBJECTS.glob("*.png"))) + 1)
    page.get_by_role("radio", name="3", exact=True).check()
    page.locator("#shelf .thumbnail-lg").first.click()
    expect(page.locator("#shelf-note")).to_contain_text("“cat” is now subject 3")
    page.get_by_role("tab", name="Compose").click()
    expect(page.locator("#seen-note-3")).to_contain_text("concept card")
    assert not errors
    leave(page)


def test_edges_come_from_a_picture_or_a_hand(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url)
    page.locator("#edges-panel button").first.click()
    page.get_by_label("From a picture").check()
    upload(page, "#edges-from", CAT)
    shown = page.locator("#edge-map img")
    expect(shown).to_be_visible()
    before = shown.get_attribute("src")
    put(page, "#edges-high", 450)
    expect(shown).not_to_have_attribute("src", str(before))
    page.get_by_label("Drawing").check()
    expect(page.locator("#edges-from")).to_have_count(0)
    stroke(page, page.locator("#edges-canvas canvas").first)
    expect(shown).to_be_visible()
    shot(page, "drawn")
    page.locator("#prompt textarea").fill("a boat")
    generate(page)
    page.get_by_label("Off").check()
    expect(shown).to_have_count(0)
    assert not errors
    leave(page)


def test_pictures_take_shape_and_a_stop_keeps_the_finished(chrome: Browser, slow_url: str) -> None:
    page, _, errors = visit(chrome, slow_url)
    page.locator("#prompt textarea").fill("a boat")
    page.locator("#preset-draft").click()
    expect(page.locator("#count input[type=number]")).to_have_value("1")
    generate(page)  # how fast the machine is, is not known before
    page.locator("#preset-best").click()
    expect(page.locator("#count input[type=number]")).to_have_value("4")
    page.locator("#sampling-panel button").first.click()
    put(page, "#steps", 100)
    put(page, "#count", 8)
    expect(page.locator("#cost")).to_contain_text(re.compile("about .* on this machine"))
    page.locator("#generate").click()
    expect(page.locator("#progress")).to_contain_text(re.compile(r"step \d+ of 100 · pictures"))
    expect(page.locator("#gallery")).to_contain_text("preview")
    shot(page, "taking-shape")
    expect(page.locator("#gallery")).to_contain_text("seed")
    page.locator("#stop").click()
    expect(page.locator("#progress")).to_contain_text("Finished pictures are kept")
    assert 2 <= page.locator("#gallery .caption-label", has_text="seed").count() < 8
    page.locator("#prompt textarea").fill("a boat with a rainbow")
    page.locator("#preset-draft").click()
    expect(page.locator("#count input[type=number]")).to_have_value("1")
    generate(page)  # the worker is free
    assert not errors
    leave(page)


def test_results_are_compared_varied_taken_apart_and_sent_on(
    chrome: Browser, slow_url: str
) -> None:
    page, _, errors = visit(chrome, slow_url)
    compose(page)
    generate(page)
    expect(page.locator("#likeness meter")).to_have_count(6)
    thumbnails = page.locator("#gallery .thumbnail-lg")
    thumbnails.nth(1).click()
    expect(page.locator("#chosen")).to_contain_text("Selected: seed")
    with page.expect_download() as download:
        page.get_by_role("button", name="Pictures: download", exact=True).click()
    assert Image.open(download.value.path()).format == "PNG"
    page.keyboard.press("Escape")
    thumbnails.first.click()
    expect(page.locator("#compare img")).to_have_count(2)
    page.keyboard.press("Escape")
    shot(page, "compared")

    # What more of it costs is told before it is asked for.
    for cost in ("#vary-cost", "#leave-one-out-cost"):
        expect(page.locator(cost)).to_contain_text("on this machine")
    few = page.locator("#vary-cost").inner_text()
    put(page, "#vary-number", 8)
    expect(page.locator("#vary-cost")).not_to_have_text(few)
    page.locator("#leave-one-out").click()
    expect(page.locator("#gallery .caption-label")).to_have_text(['without "cat"', 'without "hat"'])
    shot(page, "without-each")
    put(page, "#vary-number", 3)
    page.locator("#vary").click()
    expect(page.locator("#gallery .caption-label")).to_have_text(
        [f"variation {number}" for number in (1, 2, 3)]
    )
    thumbnails.first.click()
    expect(page.locator("#leave-one-out-cost")).to_contain_text("no subjects to remove")
    page.keyboard.press("Escape")
    page.locator("#to-slot-number").get_by_role("radio", name="4").check()
    page.locator("#to-slot").click()
    expect(page.locator("#seen-4 img")).to_be_visible()
    page.get_by_role("button", name="Remove subject 4").click()

    # Explore has not been shown so far.
    page.get_by_role("radio", name="top right").first.check()
    page.locator("#to-corner").click()
    expect(page.locator("#corner-top_right img").first).to_be_visible()
    page.get_by_role("radio", name="bottom left").last.check()
    page.locator("#form-to-corner").click()
    expect(page.locator("#corner-bottom_left img").first).to_be_visible()
    handle = page.locator(".le-handle")
    handle.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuetext", "55 percent across, 50 percent down")
    assert not errors
    leave(page)


def test_the_history_brings_a_form_back(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url)
    compose(page)
    generate(page)
    page.locator("#prompt textarea").fill("something else")
    page.get_by_role("button", name="Remove subject 2").click()
    page.get_by_role("tab", name="Keep").click()
    page.locator("#history .thumbnail-lg").last.click()
    expect(page.locator("#history-chosen")).to_contain_text("a cat wearing a hat")
    page.locator("#history-restore").click()
    expect(page.locator("#prompt textarea")).to_have_value("a cat wearing a hat")
    expect(page.locator("#seen-2 img")).to_be_visible()
    # The other view tells of the same choice.
    page.locator("#chosen-panel button").first.click()
    expect(page.locator("#chosen")).to_contain_text("Selected: seed")
    leave(page)
    assert not errors


def test_without_the_switch_a_png_has_no_recipe(chrome: Browser, url: str) -> None:
    page, _, _ = visit(chrome, url)
    page.locator("#with-recipe input").uncheck()
    page.locator("#prompt textarea").fill("a boat")
    generate(page)
    address = page.locator("#gallery img").first.get_attribute("src")
    saved = urllib.request.urlopen(str(address)).read()
    assert b"lambda-eclipse\0" not in saved and b"trainedAlgorithmicMedia" in saved
    leave(page)
