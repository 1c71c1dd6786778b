"""What all views share: how events are queued, a place for a picture, sampling, stopping."""

import json
import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.engine import HEARTBEAT_S
from lambda_eclipse.ui.form import STACKS_OWN
from lambda_eclipse.ui.i18n import LazyText, t
from lambda_eclipse.ui.text import progress_html

# One job at a time uses the models; the others of all visitors wait in one line. What may fail is
# queued in any case: Gradio shows no message of an event that is not.
HEAVY: dict[str, Any] = {"concurrency_id": "studio", "concurrency_limit": 1}
# A lesson lets them pass after each of its steps, so it has a line of its own.
LESSON: dict[str, Any] = {"concurrency_id": "lesson", "concurrency_limit": 1}
QUIET: dict[str, Any] = {"show_progress": "hidden"}
PRIVATE: dict[str, Any] = {**QUIET, "api_visibility": "private"}


SOURCES = ["upload", "webcam", "clipboard"]


def waiting(place: str) -> LazyText:
    """JavaScript for a click that paints: what to say until the server has news.

    What is painted comes into view, which on a phone is far from the button. place: its id.
    """
    show = f"document.getElementById('{place}')?.scrollIntoView({{block: 'nearest'}});"

    def make() -> str:
        said = json.dumps(progress_html(note=t("Waiting for its turn")))
        return f"() => {{ {show} return {said}; }}"

    return LazyText(make)


@dataclass(frozen=True)
class Sampling:
    """Widgets whose defaults depend on the stack."""

    steps: gr.Slider
    guidance: gr.Slider


def upload(label: str, height_px: int, elem_id: str) -> gr.Image:
    """A place for a picture. The file is passed on as it came: the core reads it."""
    return gr.Image(
        label=label, type="filepath", image_mode=None, sources=SOURCES, buttons=[],
        height=height_px, min_width=120, placeholder=t("Drop or click"), elem_id=elem_id,
        elem_classes="le-upload",
    )  # fmt: skip


def sampling_panel(prefix: str = "") -> Sampling:
    """Steps and guidance in a closed panel; left to the stack until it is known."""
    panel = gr.Accordion(t("Sampling"), open=False, elem_id=f"{prefix}sampling-panel")
    with panel, gr.Row():
        return Sampling(
            gr.Slider(
                0,
                100,
                STACKS_OWN,
                step=1,
                label=t("Steps"),
                info=t("0: as is best for the stack, guidance too"),
                elem_id=f"{prefix}steps",
            ),
            gr.Slider(
                0,
                20,
                paper.GUIDANCE,
                step=0.5,
                label=t("Guidance"),
                elem_id=f"{prefix}guidance",
            ),
        )


def recipe_switch(elem_id: str) -> gr.Checkbox:
    """Whether PNGs carry their recipe."""
    return gr.Checkbox(
        label=t("Write the recipe into each PNG"),
        info=t(
            "It lets anyone paint the picture again, and holds what the model knows of "
            "your subjects, but no photo."
        ),
        value=True,
        elem_id=elem_id,
    )


def stop_with(button: gr.Button, running: list[Any], progress: gr.HTML) -> Any:
    """Close the generators of `running`, which stops their jobs within one step, and say so.

    Returns the event after which that is said.
    """

    def stopped() -> str:
        time.sleep(2 * HEARTBEAT_S)  # the last news of what was stopped may still be on its way
        return progress_html(note=t("Stopped. What was finished stays."))

    # Not queued: stopping closes the stream on which a queued answer would come.
    return button.click(None, None, None, cancels=running).then(
        stopped, None, progress, queue=False, **PRIVATE
    )
