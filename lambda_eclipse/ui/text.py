"""Small pieces of HTML, and errors as messages. Whatever a visitor typed is escaped here."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from itertools import zip_longest

import gradio as gr

from lambda_eclipse.messages import StudioError
from lambda_eclipse.ui.engine import EngineError, Status
from lambda_eclipse.ui.i18n import t, translate
from lambda_eclipse.ui.i18n.core_texts import told
from lambda_eclipse.ui.run import Pace, Update

log = logging.getLogger(__name__)


def status_html(status: Status) -> str:
    """The status line: a coloured dot and a sentence."""
    busy = " le-busy" * (status.state == "loading")
    return (
        f'<div class="le-status le-{status.state}{busy}">'
        f'<i class="le-dot"></i><span>{escape(status.text)}</span></div>'
    )


def progress_html(update: Update | None = None, note: str = "") -> str:
    """A bar with the step; only `note` when nothing runs."""
    if update is None:
        return f'<div class="le-progress"><span>{escape(note)}</span></div>'
    if update.fraction is None:
        bar = '<i class="le-wait"></i>'
    else:
        bar = f'<i style="width:{100 * min(max(update.fraction, 0), 1):.1f}%"></i>'
    return (
        f'<div class="le-progress le-busy"><div class="le-bar">{bar}</div>'
        f"<span>{escape(update.text)}</span></div>"
    )


def meter_html(
    rows: Iterable[tuple[str, float, str]], title: str, marks: Iterable[str] = ()
) -> str:
    """Bars with a name, a share in [0, 1] and the same in words; `marks` colours them by class."""
    lines = "".join(
        f'<li class="le-{mark}"><span>{escape(name)}</span>'
        f'<meter min="0" max="1" value="{share:.3f}" aria-label="{escape(name, quote=True)}">'
        f"</meter><b>{escape(word)}</b></li>"
        for (name, share, word), mark in zip_longest(rows, marks, fillvalue="plain")
    )
    return f'<h3>{escape(title)}</h3><ul class="le-meters">{lines}</ul>' if lines else ""


def section_html(head: str, about: str) -> str:
    """A heading and what its section is for, from two marked texts."""
    return f"<h3>{escape(t(head))}</h3><p>{escape(t(about))}</p>"


def cost_text(pace: Pace, pictures: int, steps: int) -> str:
    """How long so many pictures take at the pace of this machine."""
    return duration_text(pace.seconds(pictures, steps))


def duration_text(seconds: float | None) -> str:
    """How long something takes, before it is begun."""
    if seconds is None:
        return t("How long it takes is known after the first picture.")
    if seconds < 1:
        return t("Takes less than a second on this machine.")
    if seconds < 90:
        return t("Takes about {seconds} s on this machine.", seconds=round(seconds))
    return t("Takes about {minutes} min on this machine.", minutes=round(seconds / 60, 1))


def readable(error: Exception) -> gr.Error:
    """What the core raised, as a message; a visitor never sees a traceback."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, ValueError | EngineError | FileNotFoundError):
        text = translate(error.text) if isinstance(error, StudioError) else told(str(error))
        message = escape(text, quote=False)
        return gr.Error(message, title=t("That did not work"), print_exception=False)
    log.error("a request failed", exc_info=error)
    message = escape(
        t(
            "Something unexpected happened ({kind}). The server's log has the details.",
            kind=type(error).__name__,
        )
    )
    return gr.Error(message, title=t("Unexpected failure"), print_exception=False)


@contextmanager
def reading() -> Iterator[None]:
    """Whatever is raised inside becomes a message."""
    try:
        yield
    except Exception as error:
        raise readable(error) from error


def reporting(values: Iterator[tuple], blank: tuple) -> Iterator[tuple]:
    """The values of a handler; `blank` before an error, so that no bar stays half full beside it.

    Not an event on failure: the browser takes a stop for one, too.
    """
    try:
        yield from values
    except Exception as error:
        yield blank
        raise readable(error) from error
