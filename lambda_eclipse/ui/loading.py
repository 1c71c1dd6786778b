"""The row below the header: why a stack was not loaded, how a download goes on, two buttons."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.events import PRIVATE
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.status import Status


@dataclass(frozen=True)
class LoadingRow:
    """The row and its parts; hidden while there is nothing to say or do."""

    row: gr.Row
    notice: gr.HTML
    again: gr.Button
    stop: gr.Button

    @property
    def parts(self) -> list[Any]:
        """What `updates` is about."""
        return [self.row, self.notice, self.again, self.stop]


def loading_row(engine: Engine) -> LoadingRow:
    """Lay out the row."""
    status = engine.status()
    with gr.Row(visible=_visible(status), elem_id="loading", elem_classes="le-loading-row") as row:
        notice = gr.HTML(escape(status.notice), elem_id="notice", elem_classes="le-news")
        again = gr.Button(
            t("Try again"), visible=status.can_retry, min_width=120, scale=0, elem_id="load-again"
        )
        stop = gr.Button(
            t("Stop download"),
            variant="stop",
            visible=status.can_stop,
            min_width=120,
            scale=0,
            elem_id="load-stop",
        )
    return LoadingRow(row, notice, again, stop)


def wire(engine: Engine, row: LoadingRow, timer: gr.Timer) -> None:
    """The two buttons; `timer` shows what comes of them."""

    def again() -> gr.Timer:
        engine.retry()
        return gr.Timer(active=True)

    row.again.click(again, None, timer, queue=False, **PRIVATE)
    row.stop.click(engine.stop_loading, None, None, queue=False, **PRIVATE)


def updates(status: Status) -> list[Any]:
    """The row for a status, in the order of `LoadingRow.parts`."""
    return [
        gr.Row(visible=_visible(status)),
        escape(status.notice),
        gr.Button(visible=status.can_retry),
        gr.Button(visible=status.can_stop),
    ]


def _visible(status: Status) -> bool:
    return bool(status.notice) or status.can_retry or status.can_stop
