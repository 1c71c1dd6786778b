"""Texts of the page. The English template is the key of its translation in `locale/`."""

import ast
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from lambda_eclipse.messages import Text
from lambda_eclipse.ui.i18n import language

LOCALE = Path(__file__).with_name("locale")
_FIELD = re.compile(r'^(msgid|msgstr) ((?:".*"\n)+)', re.MULTILINE)


class LazyText(str):
    """A text in the language current at its creation; `make()` gives it in the current language.

    So a page that is built once is served in any language: see `localize`.
    """

    make: Callable[[], str]

    def __new__(cls, make: Callable[[], str]) -> "LazyText":
        """The text that `make()` returns now."""
        text = super().__new__(cls, make())
        text.make = make
        return text

    def __str__(self) -> str:
        """Itself, not a plain copy: buttons keep the result of str()."""
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Copied or sent to another process, it is the plain text."""
        return str, (str.__str__(self),)


def t(template: str, **fields: object) -> LazyText:
    """The template in the current language, with its {fields} filled in."""
    return LazyText(partial(_render, template, fields))


def translate(text: Text) -> LazyText:
    """A message of the core in the current language."""
    return t(text.template, **text.fields)


def mark(template: str) -> str:
    """The template unchanged: marks it for extraction where `t` gets it through a variable."""
    return template


def localize(value: Any) -> Any:
    """The same value with every LazyText and Text in it in the current language."""
    if isinstance(value, LazyText):
        return value.make()
    if isinstance(value, Text):
        return _render(value.template, value.fields)
    if isinstance(value, dict):
        return {key: localize(one) for key, one in value.items()}
    if isinstance(value, list):
        return [localize(one) for one in value]
    if isinstance(value, tuple):
        return tuple(localize(one) for one in value)
    return value


def _render(template: str, fields: dict[str, object]) -> str:
    text = catalogue(language.current()).get(template, template)
    return text.format(**localize(fields))


@cache
def catalogue(code: str) -> dict[str, str]:
    """Translations by English template; empty for English. Fuzzy entries are left out."""
    path = LOCALE / code / "LC_MESSAGES" / "messages.po"
    return read_po(path.read_text(encoding="utf-8")) if code != language.DEFAULT else {}


def read_po(text: str) -> dict[str, str]:
    """Translations by message of a .po file without plurals and contexts."""
    entries: dict[str, str] = {}
    for block in text.split("\n\n"):
        fields = {
            name: "".join(ast.literal_eval(line) for line in lines.splitlines())
            for name, lines in _FIELD.findall(block + "\n")
        }
        if fields.get("msgid") and fields["msgstr"] and "#, fuzzy" not in block:
            entries[fields["msgid"]] = fields["msgstr"]
    return entries
