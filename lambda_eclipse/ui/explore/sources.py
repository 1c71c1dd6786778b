"""The sources of the square's corners: two versions of two subjects, or four pictures."""

from dataclasses import dataclass

import gradio as gr

from lambda_eclipse.ui.events import PRIVATE
from lambda_eclipse.ui.explore_form import (
    CORNER_LABELS,
    CORNER_NAMES,
    FROM_PICTURES,
    FROM_SUBJECTS,
)
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.results.view import corner_choice
from lambda_eclipse.ui.widgets.pictures import upload

SOURCE_LABELS = {
    FROM_SUBJECTS: mark("Two subjects, two pictures each"),
    FROM_PICTURES: mark("Four pictures"),
}


@dataclass(frozen=True)
class Sources:
    """Where the corners come from: two subjects in two versions, or four pictures.

    widgets: by field of `SquareForm`. corner, send: paint the Compose form as a corner.
    """

    widgets: dict[str, gr.components.Component]
    corner: gr.Radio
    send: gr.Button


def corner_sources() -> Sources:
    """Lay out the sources; a switch shows one of them."""
    choices = [(t(text), name) for name, text in SOURCE_LABELS.items()]
    source = gr.Radio(choices, value=FROM_SUBJECTS, label=t("Corners"), elem_id="corners-from")
    widgets: dict[str, gr.components.Component] = {"corners_from": source}
    with gr.Column(elem_id="from-subjects") as subjects:
        widgets["prompt"] = gr.Textbox(
            label=t("Prompt"),
            placeholder="a cat wearing a hat",
            max_lines=3,
            elem_id="explore-prompt",
        )
        widgets |= _subject("A", "cat") | _subject("B", "hat")
    with gr.Column(visible=False, elem_id="from-pictures") as pictures:
        gr.HTML(
            t(
                "Pictures generated here use the image embedding in their recipe, other "
                "pictures their CLIP embedding. “Send to Explore” in Compose fills a "
                "corner."
            ),
            elem_id="corners-about",
        )
        for pair in (CORNER_NAMES[:2], CORNER_NAMES[2:]):
            with gr.Row():
                for name in pair:
                    widgets[name] = upload(t(CORNER_LABELS[name]), 150, f"corner-{name}")
        with gr.Row(elem_classes="le-send"):
            corner = corner_choice(
                t("Generate a corner from the Compose settings (draft)"), "form-corner"
            )
            send = gr.Button(t("Generate corner"), min_width=120, elem_id="form-to-corner")
    source.change(
        lambda name: [gr.update(visible=name == one) for one in (FROM_SUBJECTS, FROM_PICTURES)],
        source,
        [subjects, pictures],
        queue=False,
        **PRIVATE,
    )
    return Sources(widgets, corner, send)


def _subject(letter: str, hint: str) -> dict[str, gr.components.Component]:
    low = letter.lower()
    with gr.Group(elem_classes=f"le-slot{'AB'.index(letter)}"):
        widgets: dict[str, gr.components.Component] = {
            f"noun_{low}": gr.Textbox(
                label=t("Noun of subject {letter}", letter=letter),
                placeholder=hint,
                max_lines=1,
                elem_id=f"noun-{low}",
            )
        }
        with gr.Row():
            for number in (1, 2):
                widgets[f"picture_{low}{number}"] = upload(
                    f"{letter}{number}", 140, f"corner-{low}{number}"
                )
    return widgets
