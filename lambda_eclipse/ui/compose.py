"""The Compose view: up to four subjects, a prompt, an optional edge map, pictures."""

import json
import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.cards import example_cards
from lambda_eclipse.ui.compose_actions import ComposeActions
from lambda_eclipse.ui.engine import HEARTBEAT_S, Engine
from lambda_eclipse.ui.examples import COMPOSE
from lambda_eclipse.ui.text import MAX_SEED, progress_html

# One job at a time uses the models; the others of all visitors wait in one line.
HEAVY: dict[str, Any] = {"concurrency_id": "studio", "concurrency_limit": 1}
QUIET: dict[str, Any] = {"show_progress": "hidden"}
PRIVATE: dict[str, Any] = {**QUIET, "api_visibility": "private"}

HOW = "Add a picture, name it with a word of the prompt, press Generate. Or click an example."
# Shown by the browser itself at the click, until the server has news.
WAITING = f"() => {json.dumps(progress_html(note='Waiting for its turn'))}"
SOURCES = ["upload", "webcam", "clipboard"]


@dataclass(frozen=True)
class Slot:
    """The widgets of one subject."""

    picture: gr.Image
    noun: gr.Textbox
    seen: gr.Image
    note: gr.HTML


@dataclass(frozen=True)
class Sampling:
    """Widgets whose defaults depend on the stack."""

    steps: gr.Slider
    guidance: gr.Slider


def upload(label: str, height_px: int, elem_id: str) -> gr.Image:
    """A place for a picture. The file is passed on as it came: the core reads it."""
    return gr.Image(
        label=label, type="filepath", image_mode=None, sources=SOURCES, buttons=[],
        height=height_px, min_width=120, placeholder="Drop or click", elem_id=elem_id,
    )  # fmt: skip


def sampling_panel(prefix: str = "") -> Sampling:
    """Steps and guidance in a closed panel; the paper's values until the stack is known."""
    with gr.Accordion("Sampling", open=False, elem_id=f"{prefix}sampling-panel"), gr.Row():
        return Sampling(
            gr.Slider(
                1, 100, paper.DDIM_STEPS, step=1, label="Steps", elem_id=f"{prefix}steps"
            ),
            gr.Slider(
                0, 20, paper.GUIDANCE, step=0.5, label="Guidance", elem_id=f"{prefix}guidance"
            ),
        )  # fmt: skip


def _slot(number: int) -> Slot:
    with gr.Column(min_width=140, elem_classes=f"le-slot le-slot{number - 1}"):
        return Slot(
            picture=upload(f"Subject {number}", 160, f"picture-{number}"),
            noun=gr.Textbox(
                label="Word in prompt", placeholder=("cat", "hat", "dog", "guitar")[number - 1],
                max_lines=1, elem_id=f"noun-{number}",
            ),
            seen=gr.Image(
                label=f"What the model sees of subject {number}", show_label=False, height=120,
                interactive=False, format="png", buttons=["fullscreen"],
                elem_id=f"seen-{number}", elem_classes="le-seen",
            ),
            note=gr.HTML(elem_id=f"seen-note-{number}", elem_classes="le-note"),
        )  # fmt: skip


def compose_view(engine: Engine) -> Sampling:
    """Lay out the view and wire it."""
    actions = ComposeActions(engine)
    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=6, min_width=320):
            prompt = gr.Textbox(
                label="Prompt", placeholder="a cat wearing a hat on the beach", lines=2,
                max_lines=4, elem_id="prompt",
            )  # fmt: skip
            strip = gr.HTML(elem_id="strip")
            with gr.Row(elem_classes="le-slots"):
                slots = [_slot(number) for number in range(1, paper.MAX_SUBJECTS + 1)]
            with gr.Row(elem_classes="le-actions"):
                go = gr.Button("Generate", variant="primary", scale=3, elem_id="generate")
                stop = gr.Button("Stop", variant="stop", scale=1, min_width=90, elem_id="stop")
            with gr.Row():
                count = gr.Slider(1, 8, 2, step=1, label="Pictures", elem_id="count")
                with gr.Column(min_width=200):
                    seed = gr.Number(
                        label="Seed", value=0, precision=0, minimum=0, maximum=MAX_SEED,
                        elem_id="seed",
                    )  # fmt: skip
                    randomize = gr.Checkbox(
                        label="A new seed each time", value=True, elem_id="randomize"
                    )
            panel, edge_form = _edges_panel(actions)
            sampling = sampling_panel()
        with gr.Column(scale=5, min_width=320):
            gallery = gr.Gallery(
                label="Pictures", columns=2, object_fit="contain", format="png", height=440,
                buttons=["download", "download_all", "fullscreen"], interactive=False,
                elem_id="gallery",
            )  # fmt: skip
            progress = gr.HTML(progress_html(note=HOW), elem_id="progress")
            cards = example_cards(COMPOSE, "Examples: one click paints them", "examples")

    subjects = [widget for slot in slots for widget in (slot.noun, slot.picture)]
    _watch_slots(actions, slots, prompt, strip)
    form = [prompt, *subjects, *edge_form, count, sampling.steps, sampling.guidance]
    form += [seed, randomize]
    shown = [gallery, seed, progress]
    gr.on([go.click, prompt.submit], None, None, progress, js=WAITING, **PRIVATE)
    painted = gr.on(
        [go.click, prompt.submit], actions.generate, form, shown, api_name="generate",
        **QUIET, **HEAVY,
    )  # fmt: skip
    filled = cards.click(
        actions.fill, None, [prompt, *subjects, edge_form[0], panel, seed, randomize],
        queue=False, **PRIVATE,
    )  # fmt: skip
    example = filled.then(actions.generate, form, shown, **PRIVATE, **HEAVY)
    stop_with(stop, [painted, example], progress, "Stopped.")
    return sampling


def stop_with(button: gr.Button, running: list[Any], progress: gr.HTML, note: str) -> None:
    """Close the generators of `running`, which stops their jobs within one step, and say so."""

    def stopped() -> str:
        time.sleep(2 * HEARTBEAT_S)  # the last news of what was stopped may still be on its way
        return progress_html(note=note)

    # Not queued: stopping closes the stream on which a queued answer would come.
    button.click(None, None, None, cancels=running).then(
        stopped, None, progress, queue=False, **PRIVATE
    )


def _edges_panel(actions: ComposeActions) -> tuple[gr.Accordion, list[gr.components.Component]]:
    """The panel, and its part of the form: picture, low and high threshold."""
    title = "Layout from edges (optional)"
    with gr.Accordion(title, open=False, elem_id="edges-panel") as panel:
        gr.Markdown("The edges of a second picture say where things go.", elem_id="edges-about")
        with gr.Row():
            picture = upload("Picture", 180, "edges-from")
            view = gr.Image(
                label="Edge map", interactive=False, height=180, format="png",
                buttons=["download", "fullscreen"], elem_id="edge-map",
            )  # fmt: skip
        with gr.Row():
            low = gr.Slider(0, 500, 100, step=5, label="Low", elem_id="edges-low")
            high = gr.Slider(0, 500, 200, step=5, label="High", elem_id="edges-high")
    form = [picture, low, high]
    gr.on(
        [picture.change, low.release, high.release], actions.edges, form, view,
        trigger_mode="always_last", api_name="edges", **QUIET,
    )  # fmt: skip
    return panel, form


def _watch_slots(
    actions: ComposeActions, slots: list[Slot], prompt: gr.Textbox, strip: gr.HTML
) -> None:
    """Show at once what the model sees of a picture, and which words it takes the place of."""
    for slot in slots:
        # They all do the same, so only the first one is an endpoint.
        named = {"api_name": "mask"} if slot is slots[0] else {"api_visibility": "private"}
        slot.picture.change(
            actions.mask, slot.picture, [slot.seen, slot.note], show_progress="minimal",
            trigger_mode="always_last", concurrency_id="mask", concurrency_limit=1, **named,
        )  # fmt: skip
    subjects = [widget for slot in slots for widget in (slot.noun, slot.picture)]
    gr.on(
        [prompt.change, *[widget.change for widget in subjects]], actions.read_prompt,
        [prompt, *subjects], strip, trigger_mode="always_last", **PRIVATE,
    )  # fmt: skip
