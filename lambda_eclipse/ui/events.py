"""How events of the page are queued, announced and stopped."""

import json
import time
from typing import Any

import gradio as gr

from lambda_eclipse.ui.engine import HEARTBEAT_S
from lambda_eclipse.ui.html import progress_html
from lambda_eclipse.ui.i18n import LazyText, t

# One job at a time uses the models; the jobs of all visitors wait in one queue. Every handler that
# can fail is queued: Gradio shows no errors of unqueued ones.
HEAVY: dict[str, Any] = {"concurrency_id": "studio", "concurrency_limit": 1}
# A lesson lets other jobs run between its steps, so it has a queue of its own.
LESSON: dict[str, Any] = {"concurrency_id": "lesson", "concurrency_limit": 1}
QUIET: dict[str, Any] = {"show_progress": "hidden"}
PRIVATE: dict[str, Any] = {**QUIET, "api_visibility": "private"}


def show_waiting(elem_id: str) -> LazyText:
    """JavaScript that shows a waiting bar until the server's first update.

    It scrolls the element `elem_id`, which will show the result, into view: on a phone it is far
    from the button.
    """
    show = f"document.getElementById('{elem_id}')?.scrollIntoView({{block: 'nearest'}});"

    def make() -> str:
        bar = json.dumps(progress_html(note=t("Queued")))
        return f"() => {{ {show} return {bar}; }}"

    return LazyText(make)


def stop_with(button: gr.Button, running: list[Any], progress: gr.HTML) -> Any:
    """Close the generators of the events `running`, which stops their jobs within one step.

    Returns the event that shows this in `progress`.
    """

    def stopped() -> str:
        time.sleep(2 * HEARTBEAT_S)  # the last update of the stopped job may still be on its way
        return progress_html(note=t("Stopped. Finished pictures are kept."))

    # Not queued: stopping closes the stream on which a queued answer would come.
    return button.click(None, None, None, cancels=running).then(
        stopped, None, progress, queue=False, **PRIVATE
    )
