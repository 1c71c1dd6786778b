"""Settings that several views have: seed, sampling, the recipe switch."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.request import MAX_SEED, SAMPLER
from lambda_eclipse.ui.form import STACK_DEFAULT
from lambda_eclipse.ui.i18n import t


@dataclass(frozen=True)
class SamplingPanel:
    """Widgets whose defaults depend on the stack."""

    steps: gr.Slider
    guidance: gr.Slider
    sampler: gr.Radio


def sampling_panel(prefix: str = "") -> SamplingPanel:
    """Steps, guidance and sampler in a closed panel; the stack decides until it is loaded."""
    with (
        gr.Accordion(t("Sampling"), open=False, elem_id=f"{prefix}sampling-panel"),
        gr.Row(),
    ):
        steps = gr.Slider(
            0,
            100,
            STACK_DEFAULT,
            step=1,
            label=t("Steps"),
            info=t("0: the stack's default steps and guidance"),
            elem_id=f"{prefix}steps",
        )
        guidance = gr.Slider(
            0,
            20,
            paper.GUIDANCE,
            step=0.5,
            label=t("Guidance scale"),
            elem_id=f"{prefix}guidance",
        )
        sampler = gr.Radio(
            [(t("DDIM (deterministic)"), "ddim"), (t("DDPM (noise in each step)"), "ddpm")],
            value=SAMPLER,
            label=t("Sampler"),
            elem_id=f"{prefix}sampler",
        )
    return SamplingPanel(steps, guidance, sampler)


def seed_input(elem_id: str, **options: Any) -> gr.Number:
    """The seed."""
    return gr.Number(
        label=t("Seed"),
        value=0,
        precision=0,
        minimum=0,
        maximum=MAX_SEED,
        elem_id=elem_id,
        **options,
    )


def recipe_switch(elem_id: str) -> gr.Checkbox:
    """Whether PNGs carry their recipe."""
    return gr.Checkbox(
        label=t("Save the recipe in each PNG"),
        info=t(
            "The recipe reproduces the picture. It contains the embeddings of your "
            "subjects, not their photos."
        ),
        value=True,
        elem_id=elem_id,
    )
