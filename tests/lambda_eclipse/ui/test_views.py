"""The views in a real browser, over a studio whose networks are fake: what hands and eyes meet."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from browser import generate, leave, name, pixels, put, settle, shot, upload, visit
from playwright.sync_api import Browser, Page, expect

from lambda_eclipse.ui.widgets.examples import SUBJECTS

CAT, DOG = str(SUBJECTS / "cat-photo.jpg"), str(SUBJECTS / "dog-1.png")
SOME_CELLS = re.compile(r"cell ([3-9]|[1-8]\d) of 81")
EVIL = "<img src=x onerror=document.title='hacked'> {{value}} ${1+1}"


def word(page: Page, number: int) -> str:
    return page.locator(f"#noun-{number} input, #noun-{number} textarea").first.input_value()


def test_subjects_are_bound_moved_masked_and_named(chrome: Browser, url: str) -> None:
    page, hosts, errors = visit(chrome, url)
    page.locator("#prompt textarea").fill("a cat looking at a cat")
    upload(page, "#picture-1", CAT)
    name(page, 1, "cat")
    other = page.locator("#strip button[data-mention='2']")
    expect(other).to_have_attribute("aria-label", "Use this “cat” as subject 1")
    other.focus()
    other.press("Enter")
    expect(page.locator("#strip button[data-mention='1']")).to_be_visible()
    expect(page.locator("#strip .le-warn")).to_have_count(0)
    shot(page, "mentions")

    page.get_by_role("button", name="Edit mask and noun of subject 1").click()
    expect(page.locator("#words label")).to_have_count(6)
    shot(page, "workbench")
    page.locator("#candidates .thumbnail-lg").last.click()
    expect(page.locator("#seen-note-1")).to_contain_text("Painted mask")
    page.locator("#mask-automatic").click()
    expect(page.locator("#seen-note-1")).to_contain_text("Automatic mask")
    page.locator("#words label").first.click()
    chosen = page.locator("#words input:checked").input_value()
    expect(page.locator("#prompt textarea")).to_have_value(f"a cat looking at a cat and a {chosen}")

    page.get_by_role("button", name="Move subject 1 to the right").click()
    expect(page.locator("#picture-2 img").first).to_be_visible()
    expect(page.locator("#picture-1 img")).to_have_count(0)
    assert (word(page, 1), word(page, 2)) == ("", chosen)
    page.get_by_role("button", name="Remove subject 2").click()
    expect(page.locator("#picture-2 img")).to_have_count(0)
    assert hosts <= {"127.0.0.1", "inline"}, hosts
    assert not errors
    leave(page)


def test_what_is_typed_is_text_everywhere(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url)
    page.locator("#prompt textarea").fill(f"a cat {EVIL}")
    upload(page, "#picture-1", CAT)
    upload(page, "#picture-2", DOG)
    name(page, 1, "cat")
    name(page, 2, f"zebra {EVIL}")
    expect(page.locator("#risk")).to_contain_text("{{value}} ${1+1}")
    expect(page.locator("#strip .le-warn")).to_contain_text("<img src=x")
    shot(page, "warned")
    page.locator("#generate").click()
    expect(page.locator(".toast-wrap")).to_contain_text("zebra <img src=x")
    page.get_by_role("button", name="Remove subject 2").click()
    expect(page.locator("#picture-2 img")).to_have_count(0)
    settle(page)
    generate(page)
    expect(page.locator("#likeness")).to_contain_text("full prompt")
    page.locator("#gallery .thumbnail-lg").first.click()
    expect(page.locator("#chosen")).to_contain_text("{{value}} ${1+1}")
    page.get_by_role("tab", name="Explore").click()
    name(page, "a", EVIL)
    name(page, "b", "hat")
    expect(page.locator(".le-tl")).to_contain_text("<img src=x")
    assert page.locator("img[src='x']").count() == 0 and "hacked" not in page.title()
    assert not errors
    leave(page)


def test_a_picture_comes_back_from_its_file(chrome: Browser, url: str, tmp_path) -> None:
    page, _, errors = visit(chrome, url)
    page.locator("#prompt textarea").fill("a cat")
    upload(page, "#picture-1", CAT)
    name(page, 1, "cat")
    generate(page)
    address = page.locator("#gallery img").first.get_attribute("src")
    saved = tmp_path / "saved.png"
    saved.write_bytes(urllib.request.urlopen(address).read())

    other, _, _ = visit(chrome, url)
    other.get_by_role("tab", name="Keep").click()
    expect(other.locator("#shelf img").first).to_be_visible()
    assert other.locator("#history img").count() == 0  # nothing of the first visitor
    other.locator("#restore-file input[type=file]").set_input_files(saved)
    expect(other.locator("#restore-found")).to_contain_text("No differences")
    shot(other, "restored")
    expect(other.locator("#history img")).to_have_count(1)
    again = other.locator("#history img").first.get_attribute("src")
    assert pixels(urllib.request.urlopen(again).read()) == pixels(saved.read_bytes())
    other.get_by_role("tab", name="Compose").click()
    expect(other.locator("#prompt textarea")).to_have_value("a cat")
    expect(other.locator("#seen-note-1")).to_contain_text("concept card")
    other.close()

    page.get_by_role("tab", name="Keep").click()
    expect(page.locator("#history img").first).to_be_visible()
    with page.expect_navigation():
        page.locator("#delete").click()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(address)
    expect(page.locator("#prompt textarea")).to_have_value("")
    assert not errors
    leave(page)


def test_what_cannot_be_done_is_said(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url)
    said = page.locator(".toast-message-text")
    page.locator("#chosen-panel button").first.click()
    for number, button in enumerate(("#to-slot", "#to-corner", "#vary", "#restore-chosen"), 1):
        page.locator(button).click()
        expect(said).to_have_count(number)
    page.get_by_role("tab", name="Keep").click()
    page.locator("#history-restore").click()
    expect(said).to_have_text(["Select a picture first."] * 5)
    assert not errors
    leave(page)


def test_settings_stay_in_the_browser(chrome: Browser, url: str) -> None:
    context = chrome.new_context()
    page, _, _ = visit(context, url)
    expect(page.locator("#count input[type=number]")).to_have_value("2")

    def keep(change: Callable[[], object]) -> None:
        """Make a change and wait until the browser has stored it."""
        before = page.evaluate("JSON.stringify(localStorage)")
        change()
        page.wait_for_function("before => JSON.stringify(localStorage) !== before", arg=before)

    keep(lambda: put(page, "#count", 5))
    keep(page.locator("#randomize input").uncheck)
    page.get_by_role("tab", name="Explore").click()
    keep(page.locator("#explore-with-recipe input").uncheck)
    page.get_by_role("tab", name="Compose").click()
    expect(page.locator("#with-recipe input")).not_to_be_checked()
    page.reload()
    expect(page.locator("#count input[type=number]")).to_have_value("5")
    expect(page.locator("#randomize input")).not_to_be_checked()
    expect(page.locator("#with-recipe input")).not_to_be_checked()
    page.get_by_role("tab", name="Explore").click()
    expect(page.locator("#explore-with-recipe input")).not_to_be_checked()
    context.close()


def test_every_control_has_a_name_and_fits(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url, viewport={"width": 360, "height": 740})
    upload(page, "#picture-1", CAT)
    expect(page.locator("#seen-1 img")).to_be_visible()
    for panel in ("#bench", "#edges-panel", "#chosen-panel", "#sampling-panel"):
        if page.locator(panel).locator("button").first.is_visible():
            page.locator(panel).locator("button").first.click()
    nameless = """() => [...document.querySelectorAll('button, input, textarea, [role=slider]')]
      .filter((e) => e.offsetParent !== null && e.type !== 'file')
      .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.title
        || e.getAttribute('aria-labelledby') || (e.labels && e.labels.length)))
      .map((e) => e.outerHTML.slice(0, 160))"""
    for view in ("Explore", "Keep", "Compose"):
        page.get_by_role("tab", name=view).click()
        settle(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, (view, width)
        shot(page, view)
        assert page.evaluate(nameless) == [], json.dumps(page.evaluate(nameless), indent=1)
    assert not errors
    leave(page)


def test_an_atlas_is_filled_stopped_and_opened(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url, viewport={"width": 360, "height": 740})
    page.get_by_role("tab", name="Explore").click()
    page.locator("#explore-examples button").first.click()
    expect(page.locator("#explore-progress")).to_contain_text("(0.50, 0.50)")
    put(page, "#grid-size", 9)
    page.locator("#grid").click()
    expect(page.locator("#explore-progress")).to_contain_text(SOME_CELLS)
    shot(page, "filling")
    page.locator("#explore-stop").click()
    expect(page.locator("#explore-progress")).to_contain_text("Finished pictures are kept")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#cells .thumbnail-lg").nth(8).click()
    expect(page.locator("#x input[type=number]")).to_have_value("1")
    expect(page.locator("#y input[type=number]")).to_have_value("0")
    page.locator("#grid-export").click()
    expect(page.locator("#grid-files")).to_contain_text("atlas")
    assert not errors
    leave(page)


def test_a_path_is_drawn_with_the_keyboard(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url)
    page.get_by_role("tab", name="Explore").click()
    page.locator("#explore-examples button").first.click()
    expect(page.locator("#explore-progress")).to_contain_text("(0.50, 0.50)")
    page.locator("#path-panel button").first.click()
    expect(page.locator("#path-cost")).to_contain_text("on this machine")
    with page.expect_response(lambda response: "drawn" in (response.request.post_data or "")):
        page.get_by_label("freehand").check()
    settle(page)  # the square is ready for drawing
    handle = page.locator(".le-handle")
    handle.focus()
    with page.expect_response(lambda response: "0.45" in (response.request.post_data or "")):
        for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
            handle.press(key)
    expect(page.locator(".le-trail")).to_have_attribute(
        "points", "0.5,0.5 0.55,0.5 0.6,0.5 0.6,0.45"
    )
    settle(page)
    put(page, "#frames", 3)
    page.locator("#path-paint").click()
    expect(page.locator("#explore-progress")).to_contain_text("3 frames")
    page.locator("#path-export").click()
    for kind in ("path.gif", "path.mp4", "path.json", "path-sheet.png", "path.zip"):
        expect(page.locator(f"#path-files a[href$='/{kind}']")).to_be_visible()
    assert not errors
    leave(page)
