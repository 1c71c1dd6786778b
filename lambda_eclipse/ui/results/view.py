"""The results: gallery, likeness, and what can be done with a chosen picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.explore_form import CORNER_LABELS, CORNER_NAMES
from lambda_eclipse.ui.html import progress_html
from lambda_eclipse.ui.i18n import LazyText, t
from lambda_eclipse.ui.widgets.pictures import gallery


@dataclass(frozen=True)
class Chosen:
    """The panel of the chosen picture."""

    panel: gr.Accordion
    text: gr.HTML
    compare: gr.ImageSlider
    slot: gr.Radio
    to_slot: gr.Button
    corner: gr.Radio
    to_corner: gr.Button
    angle: gr.Slider
    number: gr.Slider
    vary: gr.Button
    vary_cost: gr.HTML
    leave_one_out: gr.Button
    leave_one_out_cost: gr.HTML
    restore: gr.Button


@dataclass(frozen=True)
class Results:
    """The widgets; `outputs` are those that a painting job updates."""

    gallery: gr.Gallery
    progress: gr.HTML
    likeness: gr.HTML
    chosen: Chosen

    @property
    def outputs(self) -> list[gr.components.Component]:
        """Gallery, progress and likeness."""
        return [self.gallery, self.progress, self.likeness]


def results_panel() -> Results:
    """Lay out the results; the line of progress first says what to do."""
    pictures = gallery(
        t("Pictures"), 2, "gallery", buttons=["download", "download_all", "fullscreen"]
    )
    instructions = LazyText(
        lambda: progress_html(
            note=t(
                "Add a picture, enter its noun from the prompt, then click Generate. Or "
                "click an example."
            )
        )
    )
    progress = gr.HTML(instructions, elem_id="progress", elem_classes="le-news")
    likeness = gr.HTML(elem_id="likeness")
    return Results(pictures, progress, likeness, _chosen_panel())


def _chosen_panel() -> Chosen:
    with gr.Accordion(t("Selected picture"), open=False, elem_id="chosen-panel") as panel:
        text = gr.HTML(t("Select a picture first."), elem_id="chosen", elem_classes="le-news")
        compare = gr.ImageSlider(
            label=t("Comparison"),
            interactive=False,
            format="png",
            type="filepath",
            visible=False,
            elem_id="compare",
        )
        with gr.Row(elem_classes="le-send"):
            slots = list(range(1, paper.MAX_SUBJECTS + 1))
            slot = gr.Radio(slots, value=1, label=t("Subject slot"), elem_id="to-slot-number")
            to_slot = gr.Button(t("Use as subject"), min_width=120, elem_id="to-slot")
        with gr.Row(elem_classes="le-send"):
            corner = corner_choice(t("Corner of the square"), "to-corner-name")
            to_corner = gr.Button(t("Send to Explore"), min_width=120, elem_id="to-corner")
        with gr.Row():
            angle = gr.Slider(
                5,
                90,
                25,
                step=5,
                label=t("Distance (degrees)"),
                min_width=200,
                elem_id="vary-angle",
            )
            number = gr.Slider(
                1,
                8,
                4,
                step=1,
                label=t("Number of variations"),
                min_width=200,
                elem_id="vary-number",
            )
        vary, vary_cost = _button_with_cost(t("Generate variations"), "vary")
        without, without_cost = _button_with_cost(
            t("Generate without each subject"), "leave-one-out"
        )
        restore = gr.Button(t("Restore settings"), elem_id="restore-chosen")
    return Chosen(
        panel,
        text,
        compare,
        slot,
        to_slot,
        corner,
        to_corner,
        angle,
        number,
        vary,
        vary_cost,
        without,
        without_cost,
        restore,
    )


def corner_choice(label: str, elem_id: str) -> gr.Radio:
    """The choice of a corner of the square."""
    choices = [(t(text), name) for name, text in CORNER_LABELS.items()]
    return gr.Radio(choices, value=CORNER_NAMES[0], label=label, elem_id=elem_id)


def comparison(paths: Sequence[str]) -> gr.ImageSlider:
    """The slider over two pictures; hidden with fewer."""
    if len(paths) < 2:
        return gr.ImageSlider(visible=False)
    return gr.ImageSlider(value=(paths[0], paths[1]), visible=True)


def _button_with_cost(label: str, elem_id: str) -> tuple[gr.Button, gr.HTML]:
    with gr.Row(elem_classes="le-costly"):
        button = gr.Button(label, min_width=200, elem_id=elem_id)
        cost = gr.HTML(elem_id=f"{elem_id}-cost", elem_classes="le-cost", min_width=160)
    return button, cost
