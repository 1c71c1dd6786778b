"""The workbench of one subject: masks to choose from, a brush, words, and its concept card."""

from dataclasses import dataclass

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.widgets import brush

EDITOR_PX = 420


@dataclass(frozen=True)
class Bench:
    """The widgets; they work on subject `number`, from 1."""

    panel: gr.Accordion
    number: gr.Radio
    candidates: gr.Gallery
    easel: gr.Column  # what the editor stands in
    editor: gr.ImageEditor
    apply: gr.Button
    automatic: gr.Button
    words: gr.Radio
    card: gr.Button
    card_file: gr.File


def bench_panel() -> Bench:
    """Lay out the workbench, closed until a slot asks for it."""
    with gr.Accordion(t("Masks and words"), open=False, elem_id="bench") as panel:
        number = gr.Radio(
            list(range(1, paper.MAX_SUBJECTS + 1)), value=1, label=t("Subject"),
            elem_id="bench-number",
        )  # fmt: skip
        words = gr.Radio(
            [],
            label=t("Words that fit it"),
            info=t("One click names the subject, and mentions it in the prompt."),
            elem_id="words",
        )
        candidates = gr.Gallery(
            label=t("Masks to choose from"), columns=4, height="auto", format="png", buttons=[],
            allow_preview=False, interactive=False, object_fit="contain", elem_id="candidates",
        )  # fmt: skip
        gr.HTML(
            t("Paint what belongs to the subject, erase what does not."),
            elem_id="brush-info",
            elem_classes="le-note",
        )
        with gr.Column() as easel:
            editor = gr.ImageEditor(
                label=t("Mend the mask"), type="pil", format="png", sources=(), transforms=(),
                layers=False, buttons=[], height=EDITOR_PX, interactive=True,
                canvas_size=(brush.SIDE_PX, brush.SIDE_PX), fixed_canvas=True,
                brush=gr.Brush(default_size=14, colors=[brush.COLOUR], color_mode="fixed"),
                eraser=gr.Eraser(default_size=14), elem_id="brush", elem_classes="le-canvas",
            )  # fmt: skip
        with gr.Row():
            apply = gr.Button(
                t("Use the painted mask"), variant="primary", size="md", min_width=180,
                elem_id="brush-apply",
            )  # fmt: skip
            automatic = gr.Button(
                t("Use the automatic mask"), size="md", min_width=180, elem_id="mask-automatic"
            )
            card = gr.Button(
                t("Save as concept card"), size="md", min_width=180, elem_id="card-save"
            )
        card_file = gr.File(
            label=t("Concept card: load it into any slot, now or later"),
            interactive=False,
            visible=False,
            elem_id="card-file",
        )
    return Bench(panel, number, candidates, easel, editor, apply, automatic, words, card, card_file)
