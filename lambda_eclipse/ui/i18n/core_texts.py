"""Messages of the core that carry no template yet: recognised by their English words."""

import re
from functools import cache

from lambda_eclipse.ui.i18n.translation import LazyText, mark, t

MAX_LETTERS = 1000  # longer messages hold a visitor's text and would take long to match
# Fields that are words of the core, too, not a visitor's.
WORDS = ("what", "times", "size")
_FIELD = re.compile(r"\\\{(\w+)\\\}")
TEMPLATES = (
    mark("once"),
    mark("twice"),
    mark("{count} times"),
    mark(
        '"{noun}" occurs {times} in the prompt, so there is no occurrence number '
        "{number}; mention it again or choose an earlier one."
    ),
    mark(
        'Two subjects hold one place in the prompt, "{noun}": choose another '
        "occurrence for one of them."
    ),
    mark(
        '"{noun}" occurs {times} in the prompt and another subject holds its '
        "place; mention it once more, or give the two different nouns."
    ),
    mark(
        '"{noun}" comes too late in the prompt: only its first {limit} tokens are '
        'read; shorten the prompt or name "{noun}" earlier.'
    ),
    mark(
        'The prompt does not mention "{noun}": write the word into the prompt, or '
        "name the subject by a word that is in it."
    ),
    mark(
        'The prompt does not mention "{noun}": write the word into the prompt, or '
        'name the subject by a word that is in it. Did you mean "{near}"?'
    ),
    mark("The {what} is fully transparent: choose one with something on it."),
    mark("The {what} is {width}×{height} px: both sides must be at least {least} px."),
    mark("The {what} is {size}: at most {most} megapixels, please scale it down."),
    mark("enormous"),
    mark(
        "The {what} could not be read: it is damaged or not a picture. Save it "
        "again as PNG or JPEG."
    ),
    mark("picture"),
    mark('picture of "{noun}"'),
    mark("mask"),
    mark("edge picture"),
    mark("edge map"),
    mark("corner"),
    mark("card"),
    mark("recipe"),
    mark(
        "There is no {what} in this picture: it was saved without, or by a program "
        "that drops it. Give a PNG as it was saved."
    ),
    mark("This file is no picture, or a damaged one: give a PNG with a {what} in it."),
    mark("This file is damaged or absurdly large ({error}): give a PNG as it was saved."),
    mark("The {what} in this picture is damaged ({error}): use a PNG as it was saved."),
    mark(
        "This {what} is of format {format}, made by a newer version of this "
        "program: update it, it reads formats up to {known}."
    ),
    mark(
        "The recipe has embeddings of {count} numbers, and those of the {stack} "
        "stack have {width}: open the stack it was painted by."
    ),
    mark("It was painted by the stack “{other}”, and this is “{stack}”."),
    mark("The weights of the {part} are others than those it was painted with."),
    mark("It was painted with {name} {other}, and this is {version}."),
    mark("It was painted on “{other}”, and this is “{device}”."),
    mark("It has {other} px a side; here they have {size}."),
    mark("Up to {other} pictures were painted in one go, here up to {size} are."),
    mark(
        "Canny thresholds {low} and {high}: the low one must be at least 0 and not "
        "above the high one, which may be 1000 at most."
    ),
    mark("The line has no length: draw one from a place to another."),
    mark("This build of OpenCV writes no video for browsers: export a GIF instead."),
    mark("No cell of the {rows} × {columns} grid is finished: paint it first."),
    mark('without "{noun}"'),
    mark('without "{noun}" {number} of {count}'),
    mark("reading CLIP"),
    mark("reading the prior"),
    mark("reading the decoder"),
    mark("warming up"),
)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Templates and the patterns of their texts; a field may occur twice."""
    patterns = []
    for text in TEMPLATES:
        seen: set[str] = set()

        def field(match: re.Match[str], seen: set[str] = seen) -> str:
            name = match[1]
            again = name in seen
            seen.add(name)
            return f"(?P={name})" if again else f"(?P<{name}>.+?)"

        patterns.append((text, re.compile(_FIELD.sub(field, re.escape(text)), re.DOTALL)))
    return patterns


def told(message: str) -> str | LazyText:
    """A message of the core in the current language; unchanged if unknown."""
    for template, pattern in _patterns() if len(message) <= MAX_LETTERS else ():
        if match := pattern.fullmatch(message):
            fields = match.groupdict()
            return t(template, **{k: told(v) if k in WORDS else v for k, v in fields.items()})
    return message
