"""One line of progress for people at a terminal; programs that read stderr get nothing."""

from __future__ import annotations

import sys

from lambda_eclipse.messages import Text


def show(message: str | Text, end: str = "") -> None:
    """Replace the line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{message}", end=end, file=sys.stderr, flush=True)


def show_line(message: str | Text) -> None:
    """Replace the line by something that goes on."""
    show(f"{message} ...")
