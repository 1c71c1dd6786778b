"""The main path by keys and ears alone: names, order of focus, and what is told, in a browser."""

import pytest
from browser import leave, settle, shot, visit
from playwright.sync_api import Browser, Locator, Page, expect

from lambda_eclipse.ui.browser.scripts import NAMES
from lambda_eclipse.ui.i18n.translation import catalogue
from lambda_eclipse.ui.widgets.examples import SUBJECTS

GERMAN = catalogue("de")
MAX_STOPS = 90  # more than any view has
SOON_MS = 60_000


def focused(page: Page) -> str:
    """The block with the focus, by its id, and what the focused thing is."""
    return page.evaluate(
        """() => { const e = document.activeElement;
        return `${e.closest('[id]')?.id} ${e.tagName} ${e.getAttribute('aria-label')}`; }"""
    )


def walk_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press a key until something has the focus; every press moves it."""
    settle(page)
    for _ in range(MAX_STOPS):
        page.evaluate("window.before = document.activeElement")
        page.keyboard.press(key)
        if wanted.evaluate("e => e === document.activeElement"):
            return
        assert page.evaluate("document.activeElement !== window.before"), focused(page)
    pytest.fail(f"no way to {wanted}")


def test_the_main_path_by_keys_and_ears(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url, locale="de")
    heard = page.locator(".le-heard")
    expect(heard).to_have_attribute("aria-live", "polite")

    prompt = page.get_by_role("textbox", name=GERMAN["Prompt"], exact=True)
    walk_to(page, prompt)
    page.keyboard.type("a cat on the beach")
    slot = page.get_by_role("group", name="Motiv 1", exact=True)
    walk_to(page, slot.get_by_role("button", name="Motiv 1: Bild hierher"))
    with page.expect_file_chooser(timeout=SOON_MS) as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(str(SUBJECTS / "cat-photo.jpg"))
    expect(heard).to_contain_text("Automatische Maske")
    # The button that was pressed is gone; the focus stays where it was.
    expect(slot.locator("*:focus")).to_have_count(1)
    walk_to(page, slot.get_by_role("textbox", name=GERMAN["Noun in prompt"]))
    page.keyboard.type("cat")
    walk_to(page, page.get_by_role("button", name=GERMAN["Generate"], exact=True))
    page.keyboard.press("Enter")
    expect(heard).to_contain_text("Fertig · Seeds")
    expect(page.get_by_role("button", name="Bild 2 von 2")).to_be_visible()
    shot(page, "painted")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert "generate" in focused(page)

    walk_to(page, page.get_by_role("tab", name=GERMAN["Explore"]), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tabpanel", name=GERMAN["Explore"])).to_be_visible()
    walk_to(page, page.locator("#explore-examples button").first)
    page.keyboard.press("Space")
    expect(heard).to_contain_text("(0.50, 0.50)")
    point = page.get_by_role("slider", name=GERMAN["Point in the square"])
    walk_to(page, point)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(point).to_have_attribute(
        "aria-valuetext", "55 Prozent nach rechts, 45 Prozent nach unten"
    )
    expect(heard).to_contain_text("(0.55, 0.45)")
    assert not errors
    leave(page)


def test_names_are_in_the_language_of_the_page(chrome: Browser, url: str) -> None:
    page, _, errors = visit(chrome, url, locale="de")
    page.locator("#examples button").first.click()
    expect(page.locator("#progress")).to_contain_text("Fertig")
    for panel in ("#bench", "#edges-panel", "#chosen-panel", "#sampling-panel"):
        page.locator(panel).locator("button").first.click()
    expect(page.locator("#words label")).to_have_count(6)
    expect(page.locator("#candidates button").first).to_be_visible()
    nameless = ("button\n", "button:", "slider:", "textbox:", "radiogroup:", "spinbutton:")
    english = []
    for view in ("Compose", "Explore", "Keep"):
        page.get_by_role("tab", name=GERMAN[view]).click()
        settle(page)
        told = page.locator(".gradio-container").aria_snapshot()
        lines = [line.strip().removeprefix("- ").strip("'") for line in told.splitlines()]
        assert not [line for line in lines if f"{line}\n".startswith(nameless)], told
        english += [line for line in lines for name in NAMES if f'"{name}"' in line]
        english += [line for line in lines if "number input" in line or "Thumbnail" in line]
    assert not english
    for panel in ("#bench", "#edges-panel"):
        expect(page.locator(panel).locator("button").first).to_have_attribute(
            "aria-expanded", "true"
        )
    assert not errors
    leave(page)


def test_passing_by_the_sliders_paints_nothing(chrome: Browser, url: str) -> None:
    page, _, _ = visit(chrome, url)
    page.get_by_role("tab", name="Explore").click()
    walk_to(page, page.locator("#grid"))
    settle(page)
    expect(page.locator(".toast-message-text")).to_have_count(0)
    x = page.locator("#x input[type=number]")
    x.fill("0.75")
    x.press("Tab")
    expect(page.locator(".toast-message-text")).to_contain_text("Still missing")
    expect(page.locator(".le-heard")).to_contain_text("Still missing")
    leave(page)


def test_radios_are_one_stop_and_answer_to_arrows(chrome: Browser, url: str) -> None:
    page, _, _ = visit(chrome, url)
    page.get_by_role("tab", name="Explore").click()
    corners = page.get_by_role("radiogroup", name="Corners")
    walk_to(page, corners.get_by_role("radio", name="Two subjects"))
    page.keyboard.press("ArrowDown")
    expect(corners.get_by_role("radio", name="Four pictures")).to_be_checked()
    expect(page.locator("#corner-top_left")).to_be_visible()
    page.keyboard.press("Tab")
    expect(corners.locator("*:focus")).to_have_count(0)
    leave(page)


def test_the_list_of_languages_can_be_walked_through(chrome: Browser, url: str) -> None:
    page, _, _ = visit(chrome, url, locale="en-US")
    languages = page.locator("#language select")
    languages.focus()
    with page.expect_navigation():
        page.keyboard.press("ArrowDown")
        settle(page)
        page.keyboard.press("ArrowDown")
    expect(page.locator("#generate")).to_have_text(catalogue("es")["Generate"])
    expect(languages).to_be_focused()
    leave(page)
