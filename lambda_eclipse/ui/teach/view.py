"""The panel that finetunes the decoder on a visitor's subject, for this visit alone."""

from typing import Any

import gradio as gr

from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.events import HEAVY, LESSON, PRIVATE, show_waiting, stop_with
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.teach.handlers import TeachActions
from lambda_eclipse.ui.teach.jobs import DEFAULT_STEPS, STEPS
from lambda_eclipse.ui.widgets.pictures import choices, result_picture


def teach_panel(engine: Engine, visit: gr.State) -> list[Any]:
    """Lay out the panel, closed, and wire it; returns the events that finetune."""
    actions = TeachActions(engine)
    with gr.Accordion(
        t("Fine-tune on a subject (optional)"), open=False, elem_id="teach-panel"
    ) as panel:
        gr.HTML(
            t(
                "Fine-tune the decoder on a few pictures of one subject to improve its "
                "likeness. The result is available in this session only."
            ),
            elem_id="teach-about",
        )
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                files = gr.File(
                    label=t("Training pictures of one subject"),
                    file_count="multiple",
                    file_types=["image"],
                    type="filepath",
                    height=140,
                    elem_id="teach-pictures",
                )
                with gr.Row():
                    noun = gr.Textbox(label=t("Noun in prompt"), max_lines=1, elem_id="teach-noun")
                    prompt = gr.Textbox(
                        label=t("Prompt for the comparison"),
                        max_lines=2,
                        elem_id="teach-prompt",
                    )
                steps = gr.Slider(
                    *STEPS,
                    DEFAULT_STEPS,
                    step=10,
                    label=t("Training steps"),
                    elem_id="teach-steps",
                )
                with gr.Row(elem_classes="le-actions"):
                    go = gr.Button(t("Fine-tune"), variant="primary", scale=3, elem_id="teach")
                    stop = gr.Button(t("Stop"), variant="stop", min_width=90, elem_id="teach-stop")
                cost = gr.HTML(
                    t("A time estimate appears after the first picture."),
                    elem_id="teach-cost",
                    elem_classes="le-cost",
                )
            with gr.Column(scale=5, min_width=320):
                progress = gr.HTML(elem_id="teach-progress", elem_classes="le-news")
                with gr.Row():
                    before = result_picture(t("Before"), 220, "teach-before", min_width=120)
                    after = result_picture(t("After"), 220, "teach-after", min_width=120)
                examples = choices(t("Prepared training pictures"), 5, "teach-seen")
                state = gr.HTML(
                    t("In use: original decoder."),
                    elem_id="teach-state",
                    elem_classes=["le-news", "le-cost"],
                )
                with gr.Row():
                    use = gr.Button(t("Use fine-tuned decoder"), elem_id="teach-use")
                    forget = gr.Button(t("Discard fine-tuning"), elem_id="teach-forget")
    outputs = [examples, before, after, progress, state]
    go.click(None, None, None, progress, js=show_waiting("teach-after"), **PRIVATE)
    finetuned = go.click(
        actions.teach, [visit, files, noun, prompt, steps], outputs, **PRIVATE, **LESSON
    )
    stopped = stop_with(stop, [finetuned], progress)
    stopped.then(actions.finish, visit, outputs, **PRIVATE, **HEAVY)
    use.click(actions.use, visit, state, **PRIVATE)
    forget.click(actions.forget, visit, outputs, **PRIVATE)
    for event in (panel.expand, steps.change, finetuned.then):
        event(actions.cost, steps, cost, queue=False, **PRIVATE)
    return [finetuned]
