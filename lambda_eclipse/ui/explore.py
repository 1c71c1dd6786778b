"""The Explore view: a square between two versions each of two subjects, to drag through."""

import gradio as gr

from lambda_eclipse.ui.cards import example_cards
from lambda_eclipse.ui.compose import (
    HEAVY,
    PRIVATE,
    QUIET,
    WAITING,
    Sampling,
    sampling_panel,
    stop_with,
    upload,
)
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.examples import EXPLORE
from lambda_eclipse.ui.explore_actions import GRID_SIDES, ExploreActions
from lambda_eclipse.ui.pad import SquarePad
from lambda_eclipse.ui.text import MAX_SEED, fresh_seed, progress_html

HOW = "Drag the dot, or use the arrow keys: a quick picture while it moves, a full one at rest."
STOPPED = "Stopped. What was finished stays."

# The two ways to say where: kept in step in the browser, without asking the server.
TO_SLIDERS = "(point) => [point.x, point.y]"
TO_PAD = "(x, y) => ({x: x, y: y})"


def _subject(letter: str, hint: str) -> list[gr.components.Component]:
    with gr.Group(elem_classes=f"le-slot{'AB'.index(letter)}"):
        noun = gr.Textbox(
            label=f"Subject {letter}: its word in the prompt", placeholder=hint, max_lines=1,
            elem_id=f"noun-{letter.lower()}",
        )  # fmt: skip
        with gr.Row():
            pictures = [
                upload(f"{letter}{number}", 140, f"corner-{letter.lower()}{number}")
                for number in (1, 2)
            ]
    return [noun, *pictures]


def explore_view(engine: Engine) -> Sampling:
    """Lay out the view and wire it."""
    actions = ExploreActions(engine)
    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=5, min_width=320):
            prompt = gr.Textbox(
                label="Prompt", placeholder="a cat wearing a hat", max_lines=3,
                elem_id="explore-prompt",
            )  # fmt: skip
            subjects = [prompt, *_subject("A", "cat"), *_subject("B", "hat")]
            with gr.Row():
                mode = gr.Radio(
                    ["slerp", "lerp"], value="slerp", label="Way between embeddings",
                    elem_id="mode",
                )  # fmt: skip
                with gr.Row():
                    seed = gr.Number(
                        label="Seed", value=0, precision=0, minimum=0, maximum=MAX_SEED,
                        min_width=120, elem_id="explore-seed",
                    )  # fmt: skip
                    another = gr.Button(
                        "New seed", size="sm", min_width=90, elem_id="explore-new-seed"
                    )
            tuning = sampling_panel("explore-")
            title = "Examples: one click paints the middle"
            cards = example_cards(EXPLORE, title, "explore-examples")
        with gr.Column(scale=6, min_width=320):
            with gr.Row(elem_classes="le-stage"):
                with gr.Column(min_width=260):
                    pad = SquarePad(elem_id="pad")
                    x = gr.Slider(0, 1, 0.5, step=0.01, label="A: 1 to 2 (across)", elem_id="x")
                    y = gr.Slider(0, 1, 0.5, step=0.01, label="B: 1 to 2 (down)", elem_id="y")
                with gr.Column(min_width=260):
                    picture = gr.Image(
                        label="The picture at this point", interactive=False, format="png",
                        height=330, buttons=["download", "fullscreen"], elem_id="point",
                    )  # fmt: skip
                    render = gr.Button("Paint this point", variant="primary", elem_id="render")
                    stop = gr.Button("Stop", variant="stop", elem_id="explore-stop")
            progress = gr.HTML(progress_html(note=HOW), elem_id="explore-progress")
            with gr.Row(elem_classes="le-actions"):
                size = gr.Slider(*GRID_SIDES, 5, step=1, label="Grid size", elem_id="grid-size")
                whole = gr.Button("Paint the whole grid", elem_id="grid")
            cells = gr.Gallery(
                label="Grid", columns=5, object_fit="contain", format="png", height="auto",
                buttons=["download", "download_all", "fullscreen"], interactive=False,
                elem_id="cells",
            )  # fmt: skip

    sampling = [mode, tuning.steps, tuning.guidance, seed]
    shown = [picture, progress]
    gr.on([pad.input, pad.release], None, pad, [x, y], js=TO_SLIDERS, **PRIVATE)
    gr.on([x.input, y.input, x.release, y.release], None, [x, y], pad, js=TO_PAD, **PRIVATE)
    gr.on([render.click, whole.click], None, None, progress, js=WAITING, **PRIVATE)

    at_sliders = gr.on(
        [render.click, x.release, y.release], actions.at, [*subjects, x, y, *sampling], shown,
        api_name="at", trigger_mode="always_last", **QUIET, **HEAVY,
    )  # fmt: skip
    at_pad = pad.release(
        actions.at_pad, [pad, *subjects, *sampling], shown, trigger_mode="always_last",
        **PRIVATE, **HEAVY,
    )  # fmt: skip
    moving = pad.input(
        actions.quick, [pad, *subjects, *sampling], shown, trigger_mode="always_last",
        **PRIVATE, **HEAVY,
    )  # fmt: skip
    # A move makes a full picture of the last point pointless: stop that first.
    pad.start(None, None, None, cancels=[at_sliders, at_pad])
    whole.click(actions.make_room, size, cells, queue=False, **PRIVATE)
    painted = whole.click(
        actions.grid, [*subjects, size, *sampling], [cells, progress], api_name="grid",
        **QUIET, **HEAVY,
    )  # fmt: skip
    painted.success(actions.lay_under, cells, pad, **PRIVATE)
    filled = cards.click(actions.fill, None, [*subjects, seed, x, y, pad], queue=False, **PRIVATE)
    example = filled.then(actions.at, [*subjects, x, y, *sampling], shown, **PRIVATE, **HEAVY)

    running = [at_sliders, at_pad, moving, painted, example]
    stop_with(stop, running, progress, STOPPED)
    another.click(fresh_seed, None, seed, queue=False, **PRIVATE)
    gr.on(
        [subjects[1].change, subjects[4].change], actions.name_corners,
        [subjects[1], subjects[4]], pad, trigger_mode="always_last", **PRIVATE,
    )  # fmt: skip
    return tuning
