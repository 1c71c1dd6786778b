"""The page in each language: catalogues, negotiation, and the page as a browser shows it."""

import json
import pickle
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from copy import deepcopy

import gradio as gr
import pytest
from babel.messages import pofile
from browser import leave, shot, visit
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, expect
from repository import ROOT

from lambda_eclipse.mentions import assign
from lambda_eclipse.messages import StudioError
from lambda_eclipse.ui.browser.scripts import NAMES
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.i18n import LazyText, language, localize, t, translate
from lambda_eclipse.ui.i18n.translation import LOCALE, catalogue, read_po
from lambda_eclipse.ui.page import build, launch

OTHERS = [code for code in language.LANGUAGES if code != language.DEFAULT]
TITLE, HINT = "λ-ECLIPSE Studio", "a cat wearing a hat on the beach"
NO_PROMPT = "The prompt is empty: describe the picture in a few words."
UNCHANGED = {TITLE, "Seed", "Linear (lerp)", "x", "y"}  # the same in some language
JAPANESE = catalogue("ja")


def localized(code: str, text: str) -> str:
    """A text without fields in a language."""
    return catalogue(code).get(text, text)


@pytest.fixture(scope="module")
def demo(engine: Engine) -> Iterator[gr.Blocks]:
    page = build(engine)
    launch(page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    yield page
    page.close()


# The catalogues


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every text of the page and the core, extracted from the code."""
    template = tmp_path_factory.mktemp("catalogue") / "messages.pot"
    babel = [sys.executable, "-m", "babel.messages.frontend", "-q"]
    command = [*babel, "extract", "-F", "pyproject.toml", "-o", str(template), "."]
    subprocess.run(command, cwd=ROOT, check=True)
    with template.open("rb") as file:
        return {message.id for message in pofile.read_po(file) if message.id}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_languages_have_catalogues_and_tags() -> None:
    assert list(language.LANGUAGES) == list(language.TAGS)
    assert {path.name for path in LOCALE.iterdir()} == set(OTHERS)


@pytest.mark.parametrize("code", OTHERS)
def test_catalogue_is_complete(messages: set[str], code: str) -> None:
    with (LOCALE / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        entries = pofile.read_po(file, locale=code)
    assert not [entry.id for entry in entries if entry.id and entry.fuzzy]
    assert not entries.obsolete
    table = catalogue(code)
    assert table == {entry.id: entry.string for entry in entries if entry.id}
    assert set(table) == messages, "update the catalogues, see docs/translations.md"
    assert not [text for text in messages if fields(table[text]) != fields(text)]
    assert {text for text in messages if table[text].strip() == text.strip()} <= UNCHANGED
    assert not [text for text in table.values() if "<" in text or not text.strip()]
    # What continues a sentence needs the same space before it.
    assert not [text for text in messages if table[text].startswith(" ") != text.startswith(" ")]


def test_po_reader_skips_fuzzy_and_empty_entries() -> None:
    text = """
msgid ""
msgstr "Language: de"

#, fuzzy
msgid "a"
msgstr "A"

msgid "b"
msgstr ""

msgid "two "
"lines"
msgstr "zwei \\"Zeilen\\""
"""
    assert read_po(text) == {"two lines": 'zwei "Zeilen"'}


def test_missing_entries_stay_english() -> None:
    with language.override("de"):
        assert t("No such {thing}", thing="text") == "No such text"


def test_buttons_stay_short() -> None:
    for code in language.LANGUAGES:
        for text in ("Generate", "Stop", "Compose", "Explore"):
            assert len(localized(code, text)) <= 14


# Negotiation


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR,fr;q=0.9,es;q=0.5,en;q=0.4", "es"),
        ("en;q=0.2, ja;q=0.7", "ja"),
        ("zh-TW", "zh"),
        ("fr, *;q=0.5", "en"),
        ("de;q=0, es;q=oops", "en"),
    ],
)
def test_browser_languages_are_negotiated(header: str, code: str) -> None:
    assert language.of_request({"accept-language": header}) == code


def test_choice_beats_browser_languages() -> None:
    german = {"accept-language": "de"}
    for cookie, code in (
        (f"a=b; {language.COOKIE}=ja; c=d", "ja"),
        (f"{language.COOKIE}=xx", "de"),
        (f"not-{language.COOKIE}=ja", "de"),
    ):
        assert language.of_request({**german, "cookie": cookie}) == code


def test_texts_are_localized() -> None:
    text = t("Subject {number}", number=2)
    whole = {"a": [text, 1], "b": ("x", LazyText(lambda: f"<b>{t('Generate')}</b>"))}
    with language.override("de"):
        assert localize(whole) == {"a": ["Motiv 2", 1], "b": ("x", "<b>Erzeugen</b>")}
    assert text == "Subject 2" and localize(whole) == whole
    for copy in (deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert type(copy) is str and copy == text


# The page


@pytest.mark.parametrize("code", OTHERS)
def test_page_has_no_english_left(demo: gr.Blocks, code: str) -> None:
    with language.override(code):
        served = json.dumps(demo.config, default=str, ensure_ascii=False)
    table = catalogue(code)
    for name in (TITLE, table["Generate"], language.LANGUAGES[code]):
        assert name in served
    # English in every language: prompts, and the names of Gradio that our script replaces.
    sentences = [
        text
        for text in table
        if " " in text and "{" not in text and text not in {TITLE, HINT, *NAMES}
    ]
    assert not [text for text in sentences if text in served and text not in table.values()]


def test_endpoints_are_english_in_every_language(demo: gr.Blocks) -> None:
    expected = Client(demo.local_url, verbose=False).view_api(return_format="dict")
    german = Client(demo.local_url, verbose=False, headers={"Accept-Language": "de"})
    assert german.view_api(return_format="dict") == expected
    [prompt, *_] = expected["named_endpoints"]["/generate"]["parameters"]
    assert (prompt["parameter_name"], prompt["label"]) == ("prompt", "Prompt")


@pytest.mark.parametrize("code", list(language.LANGUAGES))
def test_answers_are_in_the_language_of_the_request(demo: gr.Blocks, code: str) -> None:
    client = Client(demo.local_url, verbose=False, headers={"Accept-Language": code})
    pictures, _, note, _ = client.predict(
        prompt="a boat", count=1, steps=2, seed=3, randomize=False, api_name="/generate"
    )
    with language.override(code):
        assert pictures[0]["caption"] == t("seed {seed}", seed=3)  # made in the worker's thread
        assert t("Finished · seed {seeds} · {seconds} s", seeds=3, seconds="0.1") in note
        empty = t(NO_PROMPT)
    with pytest.raises(AppError, match=re.escape(empty)):
        client.predict(prompt=" ", api_name="/generate")


# Messages of the core


def test_messages_of_the_core_are_translated(engine: Engine) -> None:
    tokenizer = engine.studio.models.clip.tokenizer
    with pytest.raises(StudioError) as missing:
        assign(tokenizer, "a guitar", ["gitar"])
    with pytest.raises(StudioError) as taken:
        assign(tokenizer, "a cat", ["cat", "cat"])
    with language.override("de"):
        assert translate(missing.value.text).endswith("Meintest du „guitar“?")
        assert translate(taken.value.text).startswith("„cat“ kommt im Prompt einmal vor")
    assert translate(missing.value.text) == str(missing.value)


def test_errors_of_the_core_are_extracted() -> None:
    keywords = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"][0]
    errors = set(
        re.findall(
            r"^class (\w+)\((?:Studio|Recipe)Error\)",
            "\n".join(
                path.read_text(encoding="utf-8") for path in (ROOT / "lambda_eclipse").rglob("*.py")
            ),
            re.MULTILINE,
        )
    )
    assert errors - {"UsageError"} <= set(keywords["keywords"])  # the command line is English


# In a browser


def test_the_page_in_a_browser_of_each_language(demo: gr.Blocks, chrome: Browser) -> None:
    for code in language.LANGUAGES:
        tag = language.TAGS[code]
        page, _, errors = visit(chrome, demo.local_url, locale=tag)
        expect(page.locator("#generate")).to_have_text(localized(code, "Generate"))
        expect(page.locator("html")).to_have_attribute("lang", tag)
        expect(page.locator("#language select")).to_have_value(code)
        page.locator("#generate").click()
        expect(page.locator(".toast-wrap")).to_contain_text(localized(code, NO_PROMPT))
        shot(page, code)
        page.set_viewport_size({"width": 360, "height": 740})
        for view in ("Explore", "Keep", "Compose"):
            page.get_by_role("tab", name=localized(code, view)).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            if view == "Explore":
                handle = page.locator(".le-handle").first
                expect(handle).to_have_attribute(
                    "aria-label", localized(code, "Point in the square")
                )
        assert not errors
        leave(page)


def test_a_choice_is_remembered_in_the_browser(demo: gr.Blocks, chrome: Browser) -> None:
    page, _, _ = visit(chrome, demo.local_url, locale="en-US")
    page.locator("#language select").select_option("ja")
    expect(page.locator("#generate")).to_have_text(JAPANESE["Generate"])
    page.goto(demo.local_url)
    expect(page.locator("#generate")).to_have_text(JAPANESE["Generate"])
    page.locator("#generate").click()
    expect(page.locator(".toast-wrap")).to_contain_text(JAPANESE[NO_PROMPT])
    leave(page)


def test_gradios_own_texts_follow_the_choice(demo: gr.Blocks, chrome: Browser) -> None:
    page, _, errors = visit(chrome, demo.local_url, locale="fr-FR")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("footer")).to_contain_text("Settings")
    page.locator("#language select").select_option("ja")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("footer")).to_contain_text("設定")
    page.locator("#generate").click()
    expect(page.locator(".toast-title")).to_have_text(JAPANESE["Error"])
    page.get_by_role("tab", name=JAPANESE["Keep"]).click()
    place = page.locator("#restore-file button")
    expect(place).to_contain_text("ファイルをここにドロップ")
    expect(place).not_to_contain_text("Upload")
    assert not errors
    leave(page)
