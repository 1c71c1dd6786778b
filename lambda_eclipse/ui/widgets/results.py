"""The results: gallery, likeness bars, and what can be done with a chosen picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.compose.jobs import Painted
from lambda_eclipse.ui.i18n import LazyText, mark, t
from lambda_eclipse.ui.text import meter_html, progress_html
from lambda_eclipse.ui.widgets.pad import CORNER_LABELS, CORNER_NAMES

MAX_NOUN = 40  # letters of a noun beside its bar


@dataclass(frozen=True)
class Results:
    """The widgets."""

    gallery: gr.Gallery
    progress: gr.HTML
    bars: gr.HTML
    panel: gr.Accordion
    chosen: gr.HTML
    compare: gr.ImageSlider
    slot: gr.Radio
    to_slot: gr.Button
    corner: gr.Radio
    to_corner: gr.Button
    angle: gr.Slider
    number: gr.Slider
    vary: gr.Button
    vary_cost: gr.HTML
    without: gr.Button
    without_cost: gr.HTML
    restore: gr.Button


def seeds_note(finished: Sequence[Painted]) -> str:
    """The seeds that were used, and the time."""
    pictures = [one.picture for one in finished]
    seeds = list(dict.fromkeys(str(picture.seed) for picture in pictures))
    seconds = f"{sum(picture.seconds for picture in pictures):.1f}"
    if len(seeds) == 1:
        return t("Finished · seed {seeds} · {seconds} s", seeds=seeds[0], seconds=seconds)
    return t("Finished · seeds {seeds} · {seconds} s", seeds=", ".join(seeds), seconds=seconds)


def likeness_html(finished: Sequence[Painted]) -> str:
    """For each picture, how like each subject and the prompt it is."""
    blocks = []
    for one in finished:
        if one.likeness is None:
            continue
        scores = [(_short(score.label), score) for score in one.likeness.subjects]
        scores.append((t("whole prompt"), one.likeness.text))
        rows = [(name, score.fraction, f"{score.cosine:.2f}") for name, score in scores]
        blocks.append(f"<div>{meter_html(rows, one.label)}</div>")
    if not blocks:
        return ""
    head = escape(t("How like its subjects each picture is, as CLIP sees it"))
    return f'<h2>{head}</h2><div class="le-likeness">{"".join(blocks)}</div>'


def results_panel() -> Results:
    """Lay out the results; the line of progress says at first what to do."""
    gallery = gr.Gallery(
        label=t("Pictures"), columns=2, object_fit="contain", format="png", height="auto",
        buttons=["download", "download_all", "fullscreen"], interactive=False, elem_id="gallery",
    )  # fmt: skip
    how = LazyText(
        lambda: progress_html(
            note=t(
                "Add a picture, name it with a word of the prompt, press Generate. Or "
                "click an example."
            )
        )
    )
    progress = gr.HTML(how, elem_id="progress", elem_classes="le-news")
    bars = gr.HTML(elem_id="likeness")
    with gr.Accordion(t("With the chosen picture"), open=False, elem_id="chosen-panel") as panel:
        chosen = gr.HTML(
            t("Click a picture to choose it."), elem_id="chosen", elem_classes="le-news"
        )
        compare = gr.ImageSlider(
            label=t("The two chosen last"), interactive=False, format="png", type="filepath",
            visible=False, elem_id="compare",
        )  # fmt: skip
        with gr.Row(elem_classes="le-send"):
            slots = list(range(1, paper.MAX_SUBJECTS + 1))
            slot = gr.Radio(slots, value=1, label=t("As subject"), elem_id="to-slot-number")
            to_slot = gr.Button(t("Use as subject"), min_width=120, elem_id="to-slot")
        with gr.Row(elem_classes="le-send"):
            corners = [(t(CORNER_LABELS[name]), name) for name in CORNER_NAMES]
            corner = gr.Radio(
                corners,
                value=CORNER_NAMES[0],
                label=t("As corner of the square"),
                elem_id="to-corner-name",
            )
            to_corner = gr.Button(t("Send to Explore"), min_width=120, elem_id="to-corner")
        with gr.Row():
            angle = gr.Slider(
                5,
                90,
                25,
                step=5,
                label=t("How far, in degrees"),
                min_width=200,
                elem_id="vary-angle",
            )
            number = gr.Slider(
                1, 8, 4, step=1, label=t("How many"), min_width=200, elem_id="vary-number"
            )
        vary, vary_cost = _costly(mark("Paint variations"), "vary")
        without, without_cost = _costly(mark("Paint it without each subject"), "leave-one-out")
        restore = gr.Button(t("Bring back its form"), elem_id="restore-chosen")
    return Results(
        gallery, progress, bars, panel, chosen, compare, slot, to_slot, corner, to_corner, angle,
        number, vary, vary_cost, without, without_cost, restore,
    )  # fmt: skip


def _costly(label: str, elem_id: str) -> tuple[gr.Button, gr.HTML]:
    """A button that paints, and beside it what that costs."""
    with gr.Row(elem_classes="le-costly"):
        button = gr.Button(t(label), min_width=200, elem_id=elem_id)
        cost = gr.HTML(elem_id=f"{elem_id}-cost", elem_classes="le-cost", min_width=160)
    return button, cost


def compared(paths: Sequence[str]) -> Any:
    """The slider over two pictures; hidden where there are fewer."""
    if len(paths) < 2:
        return gr.ImageSlider(visible=False)
    return gr.ImageSlider(value=(paths[0], paths[1]), visible=True)


def _short(text: str) -> str:
    return text if len(text) <= MAX_NOUN else text[: MAX_NOUN - 1] + "…"
