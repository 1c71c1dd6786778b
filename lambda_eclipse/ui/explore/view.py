"""The Explore view: a square between four pictures to drag in."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from lambda_eclipse.request import MODE
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.events import HEAVY, PRIVATE, QUIET, show_waiting, stop_with
from lambda_eclipse.ui.explore.handlers import ExploreActions
from lambda_eclipse.ui.explore.panels import Panel, grid_panel, path_panel
from lambda_eclipse.ui.explore.sources import Sources, corner_sources
from lambda_eclipse.ui.explore_form import (
    CORNER_NAMES,
    SquareForm,
)
from lambda_eclipse.ui.form import fresh_seed
from lambda_eclipse.ui.html import progress_html
from lambda_eclipse.ui.i18n import LazyText, mark, t
from lambda_eclipse.ui.widgets.example_list import example_list
from lambda_eclipse.ui.widgets.examples import EXPLORE
from lambda_eclipse.ui.widgets.pictures import result_picture
from lambda_eclipse.ui.widgets.settings import (
    SamplingPanel,
    recipe_switch,
    sampling_panel,
    seed_input,
)
from lambda_eclipse.ui.widgets.square_pad import SquarePad

# Pad and sliders show the same point: JavaScript copies it without the server.
TO_SLIDERS = "(point) => [point.x, point.y]"
TO_PAD = "(x, y) => ({x: x, y: y})"


@dataclass(frozen=True)
class Explore:
    """The widgets of the view, for events across views."""

    sources: Sources
    mode: gr.Radio
    seed: gr.Number
    sampling: SamplingPanel
    recipe: gr.Checkbox
    pad: SquarePad
    x: gr.Slider
    y: gr.Slider
    picture: gr.Image
    render: gr.Button
    stop: gr.Button
    progress: gr.HTML
    examples: gr.HTML
    panels: list[Panel] = field(default_factory=list)
    running: list[Any] = field(default_factory=list)  # the events that paint

    @property
    def form(self) -> list[gr.components.Component]:
        """The widgets of the form."""
        return SquareForm.widgets(vars(self) | vars(self.sampling) | self.sources.widgets)

    @property
    def corners(self) -> list[gr.components.Component]:
        """The four pictures."""
        return [self.sources.widgets[name] for name in CORNER_NAMES]


def explore_view(engine: Engine, visit: gr.State) -> Explore:
    """Lay out the view and wire it."""
    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=5, min_width=320):
            examples = example_list(
                EXPLORE, mark("Examples: click to generate the center"), "explore-examples"
            )
            sources = corner_sources()
            mode = gr.Radio(
                [(t("Linear (lerp)"), "lerp"), (t("Spherical (slerp)"), "slerp")],
                value=MODE,
                label=t("Interpolation"),
                elem_id="mode",
            )
            with gr.Row(elem_classes="le-send"):
                seed = seed_input("explore-seed", min_width=120)
                another = gr.Button(t("New seed"), min_width=90, elem_id="explore-new-seed")
            sampling = sampling_panel("explore-")
            recipe = recipe_switch("explore-with-recipe")
        with gr.Column(scale=6, min_width=320):
            with gr.Row(elem_classes="le-stage"):
                with gr.Column(min_width=260):
                    pad = SquarePad(elem_id="pad")
                    x = gr.Slider(0, 1, 0.5, step=0.01, label=t("Horizontal"), elem_id="x")
                    y = gr.Slider(0, 1, 0.5, step=0.01, label=t("Vertical"), elem_id="y")
                with gr.Column(min_width=260):
                    picture = result_picture(t("Picture at this point"), 330, "point")
                    render = gr.Button(
                        t("Generate this point"), variant="primary", elem_id="render"
                    )
                    stop = gr.Button(t("Stop"), variant="stop", elem_id="explore-stop")
            instructions = LazyText(
                lambda: progress_html(
                    note=t(
                        "Drag the point or use the arrow keys: it shows a fast preview while "
                        "moving and the final picture when it stops."
                    )
                )
            )
            progress = gr.HTML(instructions, elem_id="explore-progress", elem_classes="le-news")
            view = Explore(
                sources,
                mode,
                seed,
                sampling,
                recipe,
                pad,
                x,
                y,
                picture,
                render,
                stop,
                progress,
                examples,
            )
            square = [visit, *view.form]
            point = [picture, x, y, pad]
            view.panels.append(grid_panel(engine, square, point, progress, recipe))
            view.panels.append(path_panel(engine, square, pad, progress, recipe))
    another.click(fresh_seed, None, seed, queue=False, **PRIVATE)
    view.running.extend([*_wire(engine, visit, view), *[panel.painted for panel in view.panels]])
    stop_with(stop, view.running, progress)
    timed = [*[panel.extent for panel in view.panels], *view.form]
    gr.on(
        [widget.change for widget in timed],
        ExploreActions(engine).costs,
        [visit, *timed],
        [panel.cost for panel in view.panels],
        trigger_mode="always_last",
        queue=False,
        **PRIVATE,
    )
    for event in view.running:
        update_costs(engine, visit, view, event)
    return view


def update_costs(engine: Engine, visit: gr.State, view: Explore, event: Any) -> None:
    """Update the estimated times after an event that may change them."""
    inputs = [visit, *[panel.extent for panel in view.panels], *view.form]
    costs = [panel.cost for panel in view.panels]
    event.then(ExploreActions(engine).costs, inputs, costs, queue=False, **PRIVATE)


def _wire(engine: Engine, visit: gr.State, view: Explore) -> list[Any]:
    """The point: its widgets and its picture; returns the events that paint."""
    actions = ExploreActions(engine)
    pad, x, y, outputs = view.pad, view.x, view.y, [view.picture, view.progress]
    gr.on([pad.input, pad.release], None, pad, [x, y], js=TO_SLIDERS, **PRIVATE)
    gr.on([x.input, y.input, x.release, y.release], None, [x, y], pad, js=TO_PAD, **PRIVATE)
    clicks = [view.render.click, view.examples.click]
    gr.on(clicks, None, None, view.progress, js=show_waiting("point"), **PRIVATE)
    form = [visit, *view.form, x, y, view.recipe]
    latest: dict[str, Any] = {"trigger_mode": "always_last", **HEAVY}
    at_point = view.render.click(actions.at, form, outputs, api_name="at", **QUIET, **latest)
    latest |= PRIVATE
    at_sliders = gr.on([x.release, y.release], actions.at_sliders, form, outputs, **latest)
    dragged = [visit, pad, view.recipe, *view.form]
    at_pad = pad.release(actions.at_pad, dragged, outputs, **latest)
    dragging = pad.input(actions.draft_at_pad, dragged, outputs, **latest)
    sliding = gr.on([x.input, y.input], actions.draft_at_sliders, form, outputs, **latest)
    # A drag makes the full picture of the last point pointless: stop it first.
    pad.start(None, None, None, cancels=[at_point, at_sliders, at_pad])
    widgets = view.sources.widgets
    subjects = [widget for name, widget in widgets.items() if name not in CORNER_NAMES]
    filled = view.examples.click(
        actions.fill, None, [*subjects, view.seed, x, y, pad], queue=False, **PRIVATE
    )
    example = filled.then(actions.at, form, outputs, **PRIVATE, **HEAVY)
    named = [widgets["corners_from"], widgets["noun_a"], widgets["noun_b"]]
    gr.on(
        [widget.change for widget in named],
        actions.name_corners,
        named,
        pad,
        trigger_mode="always_last",
        **PRIVATE,
    )
    return [at_point, at_sliders, at_pad, dragging, sliding, example]
