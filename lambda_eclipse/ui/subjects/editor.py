"""The subject editor: candidate masks, a canvas for the mask, nouns, the concept card."""

from dataclasses import dataclass

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.subjects import brush
from lambda_eclipse.ui.widgets.pictures import canvas, choices


@dataclass(frozen=True)
class SubjectEditor:
    """The widgets; they edit the subject `number`, from 1."""

    panel: gr.Accordion
    number: gr.Radio
    candidates: gr.Gallery
    canvas_column: gr.Column
    canvas: gr.ImageEditor
    apply: gr.Button
    automatic: gr.Button
    nouns: gr.Radio
    card: gr.Button
    card_file: gr.File


def subject_editor() -> SubjectEditor:
    """Lay out the editor, closed until a slot's button opens it."""
    with gr.Accordion(t("Masks and nouns"), open=False, elem_id="bench") as panel:
        number = gr.Radio(
            list(range(1, paper.MAX_SUBJECTS + 1)),
            value=1,
            label=t("Subject"),
            elem_id="bench-number",
        )
        nouns = gr.Radio(
            [],
            label=t("Suggested nouns"),
            info=t("Click a noun to use it and add it to the prompt."),
            elem_id="words",
        )
        candidates = choices(t("Mask candidates"), 4, "candidates")
        gr.HTML(
            t("Paint over the subject, erase everything else."),
            elem_id="brush-info",
            elem_classes="le-note",
        )
        with gr.Column() as canvas_column:
            painting = canvas(
                t("Edit mask"),
                brush.SIDE_PX,
                brush.COLOUR,
                brush_px=14,
                eraser_px=14,
                interactive=True,
                elem_id="brush",
            )
        with gr.Row():
            apply = _button(t("Apply painted mask"), "brush-apply", "primary")
            automatic = _button(t("Use automatic mask"), "mask-automatic")
            card = _button(t("Save as concept card"), "card-save")
        card_file = gr.File(
            label=t("Concept card (PNG): load it into any slot"),
            interactive=False,
            visible=False,
            elem_id="card-file",
        )
    return SubjectEditor(
        panel,
        number,
        candidates,
        canvas_column,
        painting,
        apply,
        automatic,
        nouns,
        card,
        card_file,
    )


def _button(label: str, elem_id: str, variant: str = "secondary") -> gr.Button:
    return gr.Button(label, variant=variant, size="md", min_width=180, elem_id=elem_id)
