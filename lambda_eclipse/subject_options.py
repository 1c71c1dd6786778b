"""Subjects on the command line: NOUN=PATH, with the mention in the prompt where it is open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_eclipse.messages import Text
from lambda_eclipse.options import UsageError
from lambda_eclipse.request import ALL, Occurrence, Subject

if TYPE_CHECKING:
    from PIL import Image

# Behind the noun, never in the path: file names may hold this character.
_MENTION = re.compile(rf"^(.*?)\s*#\s*(\d+|{ALL})$", re.DOTALL)
MENTION_HELP = (
    f"; NOUN#2 is its second mention in the prompt, NOUN#{ALL} all of them (needed where there are "
    "several)"
)


def subject(text: str) -> Subject:
    """The subject of "NOUN=PATH". Raises UsageError, and PictureError for its picture."""
    noun, occurrence, path = _parts(text)
    if not noun or not path:
        raise UsageError("--subject {text}: use NOUN=PATH, such as cat=my_cat.jpg.", text=text)
    return _subject(noun, occurrence, path)


def pair(text: str, option: str) -> tuple[Subject, Subject]:
    """The two versions of a subject of "NOUN=PATH,PATH". Errors as of `subject`."""
    noun, occurrence, paths = _parts(text)
    parts = [path.strip() for path in paths.split(",")]
    if not noun or len(parts) != 2 or not all(parts):
        raise UsageError(
            "{option} {text}: use NOUN=PATH,PATH, such as dog=dog1.jpg,dog2.jpg.",
            option=option,
            text=text,
        )
    first, second = (_subject(noun, occurrence, path) for path in parts)
    return first, second


def picture(path: str | Path, what: Text) -> Image.Image:
    """The picture at a path. Raises PictureError."""
    from lambda_eclipse.images import open_picture

    return open_picture(Path(path).expanduser(), what)


def check_mentions(prompt: str, subjects: Sequence[Subject]) -> None:
    """Raise UsageError where a subject has several equal mentions and none is chosen.

    Needs no model: every stack finds the words of a prompt alike. Raises SubjectError for a noun
    without a place.
    """
    if not subjects:
        return
    from lambda_eclipse.mentions import open_choices
    from lambda_eclipse.tokens import Tokenizer

    nouns = [one.noun for one in subjects]
    chosen = [one.occurrence for one in subjects]
    for noun, mentions in open_choices(Tokenizer(), prompt, nouns, chosen).items():
        listed = [f'{noun}#{number} for "{one}"' for number, one in enumerate(mentions, 1)]
        raise UsageError(
            '"{noun}" occurs {count} times in the prompt. Choose one: {choices}; or {noun}#{all} '
            "for all of them.",
            noun=noun,
            count=len(mentions),
            choices=", ".join(listed),
            all=ALL,
        )


def _parts(text: str) -> tuple[str, Occurrence, str]:
    """Noun, occurrence from 0, and what follows "="; empty where something is missing."""
    named, _, path = text.partition("=")
    noun, occurrence = named.strip(), None
    if match := _MENTION.match(noun):
        noun, mention = match.groups()
        if mention == ALL:
            return noun, ALL, path.strip()
        if int(mention) < 1:
            raise UsageError(
                "{text}: mentions count from 1, so use {noun}#1.", text=text, noun=noun
            )
        occurrence = int(mention) - 1
    return noun, occurrence, path.strip()


def _subject(noun: str, occurrence: Occurrence, path: str) -> Subject:
    image = picture(path, Text('picture of "{noun}"', noun=noun))
    return Subject(noun, image, occurrence=occurrence)
