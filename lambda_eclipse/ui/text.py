"""Small pieces of HTML and the reading of forms. Whatever a visitor typed is escaped here."""

import logging
import random
from collections.abc import Iterable, Iterator
from html import escape

import gradio as gr

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.ui.engine import EngineError, Status, Update
from lambda_eclipse.ui.jobs import Named

# The browser keeps numbers as doubles and the generators take 31 bits: cap where both are exact.
# The last pictures of a batch use seed + 1, seed + 2 …, so a drawn seed leaves room for them.
MAX_SEED = 2**31 - 1
SEED_ROOM = 16

log = logging.getLogger(__name__)


def status_html(status: Status) -> str:
    """The status line: a coloured dot and a sentence."""
    return (
        f'<div class="le-status le-{status.state}" role="status">'
        f'<i class="le-dot"></i><span>{escape(status.text)}</span></div>'
    )


def progress_html(update: Update | None = None, note: str = "") -> str:
    """A bar with the step; only `note` when nothing runs."""
    if update is None:
        return f'<div class="le-progress" role="status"><span>{escape(note)}</span></div>'
    if update.fraction is None:
        bar = '<i class="le-wait"></i>'
    else:
        bar = f'<i style="width:{100 * min(max(update.fraction, 0), 1):.1f}%"></i>'
    return (
        f'<div class="le-progress le-busy" role="status"><div class="le-bar">{bar}</div>'
        f"<span>{escape(update.text)}</span></div>"
    )


def strip_html(pieces: Iterable[tuple[str, int | None]]) -> str:
    """The prompt as the text encoder reads it, each subject's words in the subject's colour."""
    chips = []
    for text, owner in pieces:
        style, title = ("", "") if owner is None else (f" le-s{owner}", f"Subject {owner + 1}")
        chips.append(f'<span class="le-chip{style}" title="{title}">{escape(text)}</span>')
    return f'<div class="le-strip">{"".join(chips)}</div>' if chips else ""


def warning_html(message: str) -> str:
    """A line of warning under the prompt."""
    return f'<div class="le-warn" role="status">{escape(message)}</div>'


def fresh_seed() -> int:
    """A seed for the next picture."""
    return random.randint(0, MAX_SEED - SEED_ROOM)


def read_seed(value: float | None, randomize: bool = False) -> int:
    """The seed of a form: drawn, or the number given; gr.Error when that is out of range."""
    if randomize:
        return fresh_seed()
    if value is None or not 0 <= value <= MAX_SEED:
        raise gr.Error(f"The seed must be a whole number from 0 to {MAX_SEED}.", title="Seed")
    return int(value)


def read_subjects(nouns: list[str | None], pictures: list[str | None]) -> tuple[Named, ...]:
    """The filled slots as (noun, picture path); gr.Error for a picture without a noun.

    A noun without a picture is only a word of the prompt, which is said as a warning.
    """
    subjects = []
    for slot, (noun, picture) in enumerate(zip(nouns, pictures, strict=True), start=1):
        noun = (noun or "").strip()
        if picture and not noun:
            raise gr.Error(
                f"Subject {slot} has a picture but no word. Name it with a word of the prompt, "
                "such as “cat”, or remove the picture.",
                title="A subject has no name",
                print_exception=False,
            )
        if noun and not picture:
            gr.Warning(f"Subject {slot} (“{noun}”) has no picture and is left to the prompt.")
        if picture:
            subjects.append((noun, picture))
    if len(subjects) > MAX_SUBJECTS:
        raise gr.Error(
            f"{len(subjects)} subjects are too many: use at most {MAX_SUBJECTS}.",
            print_exception=False,
        )
    return tuple(subjects)


def readable(error: Exception) -> gr.Error:
    """What the core raised, as a message; a visitor never sees a traceback."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, ValueError | EngineError | FileNotFoundError):
        return gr.Error(str(error), title="That did not work", print_exception=False)
    log.error("a request failed", exc_info=error)
    message = f"{type(error).__name__}: {error}. The terminal of the server has the details."
    return gr.Error(message, title="Unexpected failure", print_exception=False)


def reporting(values: Iterator[tuple], blank: tuple) -> Iterator[tuple]:
    """The values of a handler; `blank` before an error, so that no bar stays half full beside it.

    Not an event on failure: the browser takes a stop for one, too.
    """
    try:
        yield from values
    except Exception as error:
        yield blank
        raise readable(error) from error
