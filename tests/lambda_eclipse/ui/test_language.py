"""The page in each language: its tables, who hears which, and the page as a browser shows it."""

import ast
import json
import pickle
import re
import string
import time
from collections.abc import Iterator
from copy import deepcopy
from itertools import product

import gradio as gr
import pytest
from browser import leave, shot, visit
from fakes import FakeStudio
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, expect
from repository import ROOT

from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.i18n import language
from lambda_eclipse.ui.i18n.core_texts import told
from lambda_eclipse.ui.i18n.spoken import Spoken, again
from lambda_eclipse.ui.i18n.texts import ENGLISH, TABLES, t
from lambda_eclipse.ui.page import build, launch

OTHERS = [code for code in language.LANGUAGES if code != language.DEFAULT]
CORE = ROOT / "lambda_eclipse"


@pytest.fixture(scope="module")
def engine() -> Engine:
    found = Engine(lambda progress: FakeStudio())
    found.load()
    return found


@pytest.fixture(scope="module")
def demo(engine: Engine) -> Iterator[gr.Blocks]:
    page = build(engine)
    launch(page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    yield page
    page.close()


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


# The tables


def test_there_is_a_table_for_each_language() -> None:
    assert list(TABLES) == list(language.LANGUAGES) == list(language.TAGS)


@pytest.mark.parametrize("code", OTHERS)
def test_a_table_says_all_that_english_says(code: str) -> None:
    table = TABLES[code]
    assert list(table) == list(ENGLISH)
    assert not [key for key in ENGLISH if fields(table[key]) != fields(ENGLISH[key])]
    same = [key for key in ENGLISH if table[key].strip() == ENGLISH[key].strip()]
    assert same == ["title"]
    assert not [key for key, text in table.items() if "<" in text or not text.strip()]
    # What goes on in one sentence needs the same space before it.
    assert not [
        key for key in ENGLISH if table[key].startswith(" ") != ENGLISH[key].startswith(" ")
    ]


def test_buttons_stay_short() -> None:
    for table in TABLES.values():
        assert all(len(table[key]) <= 14 for key in ("go", "stop", "view.compose", "view.explore"))


# Who hears which


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
def test_the_browser_says_its_languages(header: str, code: str) -> None:
    assert language.asked_by({"accept-language": header}) == code


def test_a_choice_counts_for_more() -> None:
    german = {"accept-language": "de"}
    for cookie, code in (
        (f"a=b; {language.COOKIE}=ja; c=d", "ja"),
        (f"{language.COOKIE}=xx", "de"),
        (f"not-{language.COOKIE}=ja", "de"),
    ):
        assert language.asked_by({**german, "cookie": cookie}) == code


def test_texts_are_made_anew() -> None:
    text = t("slot.picture", number=2)
    whole = {"a": [text, 1], "b": ("x", Spoken(lambda: f"<b>{t('go')}</b>"))}
    with language.speaking("de"):
        assert again(whole) == {"a": ["Motiv 2", 1], "b": ("x", "<b>Erzeugen</b>")}
    assert text == "Subject 2" and again(whole) == whole
    for copy in (deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert type(copy) is str and copy == text


# The page


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_english_is_left_on_the_page(demo: gr.Blocks, code: str) -> None:
    with language.speaking(code):
        served = json.dumps(demo.config, default=str, ensure_ascii=False)
    for name in (ENGLISH["title"], TABLES[code]["go"], language.LANGUAGES[code]):
        assert name in served
    # A prompt is English in every language, and an example may have that of the hint.
    sentences = [
        text for key, text in ENGLISH.items()
        if " " in text and "{" not in text and key not in ("title", "prompt.hint")
    ]  # fmt: skip
    assert not [text for text in sentences if text in served and text not in TABLES[code].values()]


def test_the_endpoints_are_english_for_all(demo: gr.Blocks) -> None:
    expected = Client(demo.local_url, verbose=False).view_api(return_format="dict")
    german = Client(demo.local_url, verbose=False, headers={"Accept-Language": "de"})
    assert german.view_api(return_format="dict") == expected
    [prompt, *_] = expected["named_endpoints"]["/generate"]["parameters"]
    assert (prompt["parameter_name"], prompt["label"]) == ("prompt", "Prompt")


@pytest.mark.parametrize("code", list(TABLES))
def test_whoever_asks_is_answered_in_their_language(demo: gr.Blocks, code: str) -> None:
    client = Client(demo.local_url, verbose=False, headers={"Accept-Language": code})
    pictures, _, note, _ = client.predict(
        prompt="a boat", count=1, steps=2, seed=3, randomize=False, api_name="/generate"
    )
    with language.speaking(code):
        assert pictures[0]["caption"] == t("label.seed", seed=3)  # made in the worker's thread
        assert str(t("note.seed", seeds=3, seconds="0.1")) in note
        empty = t("form.no_prompt")
    with pytest.raises(AppError, match=re.escape(empty)):
        client.predict(prompt=" ", api_name="/generate")


# What the core says


def said_by_the_core() -> set[str]:
    """Every string in its source and the page's, {} for what is filled in."""
    found = set()
    for path in [*CORE.glob("*.py"), *CORE.glob("ui/jobs*.py"), CORE / "ui" / "edges.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
                ]
                found.add("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_the_core_says_what_is_recognised() -> None:
    said = said_by_the_core()
    open_ended = {text.removesuffix("{}") for text in said if text.endswith("{}")}
    longer = {start + end for start, end in product(open_ended, said) if end.startswith(" ")}
    longer |= {start + end for start, end in product(said, said) if end.startswith(" {}")}
    known = said | open_ended | longer
    for key, text in ENGLISH.items():
        if key.startswith("core."):
            assert re.sub(r"\{\w+\}", "{}", text) in known, key


def test_what_the_core_says_is_translated(engine: Engine) -> None:
    tokenizer = engine.studio.models.clip.tokenizer
    with pytest.raises(ValueError) as missing:
        tokenizer.assign("a guitar", ["gitar"])
    with pytest.raises(ValueError) as taken:
        tokenizer.assign("a cat", ["cat", "cat"])
    with language.speaking("de"):
        assert told(str(missing.value)).endswith("Meintest du „guitar“?")
        assert told(str(taken.value)).startswith("„cat“ kommt im Prompt einmal vor")
        assert told('The picture of "once" is enormous: at most 9 megapixels, please scale it '
                    "down.") == "Zu groß (Bild von „once“): riesig. Höchstens 9 Megapixel, bitte "\
                    "verkleinern."  # fmt: skip
        assert told("reading CLIP") == "liest CLIP"
        assert told("Something else.") == "Something else."
        began = time.monotonic()
        told('"' + '" occurs once in the prompt' * 20_000)
        assert time.monotonic() - began < 0.1
    assert told(str(missing.value)) == str(missing.value)


# In a browser


def test_the_page_in_a_browser_of_each_language(demo: gr.Blocks, chrome: Browser) -> None:
    for code, table in TABLES.items():
        tag = language.TAGS[code]
        page, _, errors = visit(chrome, demo.local_url, locale=tag)
        expect(page.locator("#generate")).to_have_text(table["go"])
        expect(page.locator("html")).to_have_attribute("lang", tag)
        expect(page.locator("#language select")).to_have_value(code)
        page.locator("#generate").click()
        expect(page.locator(".toast-wrap")).to_contain_text(table["form.no_prompt"])
        shot(page, code)
        page.set_viewport_size({"width": 360, "height": 740})
        for view in ("explore", "keep", "compose"):
            page.get_by_role("tab", name=table[f"view.{view}"]).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            if view == "explore":
                handle = page.locator(".le-handle").first
                expect(handle).to_have_attribute("aria-label", table["pad.label"])
        assert not errors
        leave(page)


def test_a_choice_is_remembered_in_the_browser(demo: gr.Blocks, chrome: Browser) -> None:
    page, _, _ = visit(chrome, demo.local_url, locale="en-US")
    page.locator("#language select").select_option("ja")
    expect(page.locator("#generate")).to_have_text(TABLES["ja"]["go"])
    page.goto(demo.local_url)
    expect(page.locator("#generate")).to_have_text(TABLES["ja"]["go"])
    page.locator("#generate").click()
    expect(page.locator(".toast-wrap")).to_contain_text(TABLES["ja"]["form.no_prompt"])
    leave(page)


def test_what_gradio_says_follows_the_choice(demo: gr.Blocks, chrome: Browser) -> None:
    page, _, errors = visit(chrome, demo.local_url, locale="fr-FR")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("footer")).to_contain_text("Settings")
    page.locator("#language select").select_option("ja")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("footer")).to_contain_text("設定")
    page.locator("#generate").click()
    expect(page.locator(".toast-title")).to_have_text(TABLES["ja"]["error.title"])
    page.get_by_role("tab", name=TABLES["ja"]["view.keep"]).click()
    place = page.locator("#restore-file button")
    expect(place).to_contain_text("ファイルをここにドロップ")
    expect(place).not_to_contain_text("Upload")
    assert not errors
    leave(page)
