"""Exceptions as messages on the page: a visitor never sees a traceback."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.messages import StudioError
from lambda_eclipse.ui.i18n import t, translate
from lambda_eclipse.ui.status import EngineError

log = logging.getLogger(__name__)


def as_message(error: Exception) -> gr.Error:
    """The message for an exception; one that nobody expected is logged, and only its type shown."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, ValueError | EngineError | FileNotFoundError):
        text = translate(error.text) if isinstance(error, StudioError) else str(error)
        message = escape(text, quote=False)
        return gr.Error(message, title=t("Error"), print_exception=False)
    log.error("a request failed", exc_info=error)
    message = escape(
        t(
            "Unexpected error ({kind}): see the server log for details.",
            kind=type(error).__name__,
        )
    )
    return gr.Error(message, title=t("Unexpected error"), print_exception=False)


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Turn whatever is raised inside into a message."""
    try:
        yield
    except Exception as error:
        raise as_message(error) from error


def reports(blank: tuple) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Turn the exceptions of a generator handler into messages, and yield `blank` before them.

    `blank` empties the progress bar, which would stay half full beside the message. An event on
    failure can't do that: the browser takes a stop for a failure, too.
    """

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handler)
        def stream(*arguments: Any, **named: Any) -> Iterator[tuple]:
            try:
                yield from handler(*arguments, **named)
            except Exception as error:
                yield blank
                raise as_message(error) from error

        return stream

    return decorate
