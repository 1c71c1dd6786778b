"""The Explore view: a square between four pictures, to drag through, to map, and to cross."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from lambda_eclipse.explore import route as paths
from lambda_eclipse.request import GRID_SIDES, MAX_SEED
from lambda_eclipse.ui.common import (
    HEAVY,
    PRIVATE,
    QUIET,
    Sampling,
    recipe_switch,
    sampling_panel,
    stop_with,
    upload,
    waiting,
)
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore.exports import DRAWN, FRAMES, ROUTES, ExportActions
from lambda_eclipse.ui.explore.form import PICTURES, SUBJECTS
from lambda_eclipse.ui.explore.handlers import ExploreActions
from lambda_eclipse.ui.form import fresh_seed
from lambda_eclipse.ui.i18n import LazyText, mark, t
from lambda_eclipse.ui.text import progress_html
from lambda_eclipse.ui.widgets.example_cards import example_cards
from lambda_eclipse.ui.widgets.examples import EXPLORE
from lambda_eclipse.ui.widgets.pad import CORNER_LABELS, CORNER_NAMES, Line, SquarePad

# The two ways to say where: kept in step in the browser, without asking the server.
TO_SLIDERS = "(point) => [point.x, point.y]"
TO_PAD = "(x, y) => ({x: x, y: y})"

SOURCE_LABELS = {SUBJECTS: mark("Two versions of two subjects"), PICTURES: mark("Four pictures")}
ROUTE_LABELS: dict[str, str] = {
    "top": mark("top edge"),
    "bottom": mark("bottom edge"),
    "left": mark("left edge"),
    "right": mark("right edge"),
    "diagonal": mark("diagonal from top left"),
    "antidiagonal": mark("diagonal from top right"),
    DRAWN: mark("drawn in the square"),
}


@dataclass(frozen=True)
class Explore:
    """The widgets that other views send to or that are wired in parts."""

    source: gr.Radio
    corners: list[gr.Image]
    form: list[gr.components.Component]  # in the order of `ExploreActions.at`
    nouns: list[gr.Textbox]
    seed: gr.Number
    sampling: Sampling
    recipe: gr.Checkbox
    pad: SquarePad
    x: gr.Slider
    y: gr.Slider
    picture: gr.Image
    stop: gr.Button
    progress: gr.HTML
    cards: gr.HTML
    where: gr.Radio
    send: gr.Button
    running: list[Any] = field(default_factory=list)  # the events that paint
    # Grid size and number of frames, and what either costs.
    extent: list[gr.components.Component] = field(default_factory=list)
    costs: list[gr.components.Component] = field(default_factory=list)


def _subject(letter: str, hint: str) -> list[gr.components.Component]:
    with gr.Group(elem_classes=f"le-slot{'AB'.index(letter)}"):
        noun = gr.Textbox(
            label=t("Subject {letter}: its word in the prompt", letter=letter),
            placeholder=hint,
            max_lines=1,
            elem_id=f"noun-{letter.lower()}",
        )
        with gr.Row():
            pictures = [
                upload(f"{letter}{number}", 140, f"corner-{letter.lower()}{number}")
                for number in (1, 2)
            ]
    return [noun, *pictures]


def _sources() -> tuple:
    """Where the corners come from: two subjects in two versions, or four pictures.

    The switch, the widgets of either, and those that send the Compose form to a corner.
    """
    choices = [(t(SOURCE_LABELS[name]), name) for name in (SUBJECTS, PICTURES)]
    source = gr.Radio(choices, value=SUBJECTS, label=t("Corners"), elem_id="corners-from")
    with gr.Column(elem_id="from-subjects") as subjects:
        prompt = gr.Textbox(
            label=t("Prompt"), placeholder="a cat wearing a hat", max_lines=3,
            elem_id="explore-prompt",
        )  # fmt: skip
        named = [prompt, *_subject("A", "cat"), *_subject("B", "hat")]
    with gr.Column(visible=False, elem_id="from-pictures") as pictures:
        gr.HTML(
            t(
                "Pictures painted here count as what they were painted from, any other "
                "picture as what CLIP sees in it. “Send to Explore” in Compose puts a "
                "result here."
            ),
            elem_id="corners-about",
        )
        corners = []
        for pair in (CORNER_NAMES[:2], CORNER_NAMES[2:]):
            with gr.Row():
                corners += [upload(t(CORNER_LABELS[name]), 150, f"corner-{name}") for name in pair]
        with gr.Row(elem_classes="le-send"):
            choices = [(t(CORNER_LABELS[name]), name) for name in CORNER_NAMES]
            where = gr.Radio(
                choices,
                value=CORNER_NAMES[0],
                label=t("Or paint the form of Compose, as a draft, to be the corner"),
                elem_id="form-corner",
            )
            send = gr.Button(t("Paint this corner"), min_width=120, elem_id="form-to-corner")
    source.change(
        lambda chosen: [gr.update(visible=chosen == name) for name in (SUBJECTS, PICTURES)], source,
        [subjects, pictures], queue=False, **PRIVATE,
    )  # fmt: skip
    return source, named, corners, where, send


def explore_view(engine: Engine, visit: gr.State) -> Explore:
    """Lay out the view and wire it."""
    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=5, min_width=320):
            cards = example_cards(
                EXPLORE, mark("Examples: one click paints the middle"), "explore-examples"
            )
            source, named, corners, where, send = _sources()
            mode = gr.Radio(
                [(t("slerp: along the sphere"), "slerp"), (t("lerp: straight"), "lerp")],
                value="slerp",
                label=t("Way between embeddings"),
                elem_id="mode",
            )
            with gr.Row(elem_classes="le-send"):
                seed = gr.Number(
                    label=t("Seed"), value=0, precision=0, minimum=0, maximum=MAX_SEED,
                    min_width=120, elem_id="explore-seed",
                )  # fmt: skip
                another = gr.Button(t("New seed"), min_width=90, elem_id="explore-new-seed")
            tuning = sampling_panel("explore-")
            recipe = recipe_switch("explore-with-recipe")
        with gr.Column(scale=6, min_width=320):
            with gr.Row(elem_classes="le-stage"):
                with gr.Column(min_width=260):
                    pad = SquarePad(elem_id="pad")
                    x = gr.Slider(0, 1, 0.5, step=0.01, label=t("Across"), elem_id="x")
                    y = gr.Slider(0, 1, 0.5, step=0.01, label=t("Down"), elem_id="y")
                with gr.Column(min_width=260):
                    picture = gr.Image(
                        label=t("The picture at this point"),
                        interactive=False,
                        format="png",
                        height=330,
                        type="filepath",
                        buttons=["download", "fullscreen"],
                        elem_id="point",
                    )
                    render = gr.Button(t("Paint this point"), variant="primary", elem_id="render")
                    stop = gr.Button(t("Stop"), variant="stop", elem_id="explore-stop")
            how = LazyText(
                lambda: progress_html(
                    note=t(
                        "Drag the dot, or use the arrow keys: a quick picture while it moves, a "
                        "full one at rest."
                    )
                )
            )
            progress = gr.HTML(how, elem_id="explore-progress", elem_classes="le-news")
            form = [source, *named, *corners, mode, tuning.steps, tuning.guidance, seed]
            view = Explore(
                source, corners, form, [named[1], named[4]], seed, tuning, recipe, pad, x, y,
                picture, stop, progress, cards, where, send,
            )  # fmt: skip
            gridded = _atlas(engine, visit, view)
            crossed = _path(engine, visit, view)
    another.click(fresh_seed, None, seed, queue=False, **PRIVATE)
    view.running.extend([*_wire(engine, visit, view, render), gridded, crossed])
    stop_with(stop, view.running, progress)
    _wire_costs(engine, visit, view)
    return view


def _wire_costs(engine: Engine, visit: gr.State, view: Explore) -> None:
    known = [*view.extent, *view.form]
    gr.on(
        [widget.change for widget in known], ExploreActions(engine).costs, [visit, *known],
        view.costs, trigger_mode="always_last", queue=False, **PRIVATE,
    )  # fmt: skip
    for event in view.running:
        tell_costs(engine, visit, view, event)


def tell_costs(engine: Engine, visit: gr.State, view: Explore, event: Any) -> None:
    """Tell the costs anew after an event that may change what is known of them."""
    known = [visit, *view.extent, *view.form]
    event.then(ExploreActions(engine).costs, known, view.costs, queue=False, **PRIVATE)


def _wire(engine: Engine, visit: gr.State, view: Explore, render: gr.Button) -> list[Any]:
    """The point: where it is, and what is painted there; the events that paint."""
    actions = ExploreActions(engine)
    pad, x, y, shown = view.pad, view.x, view.y, [view.picture, view.progress]
    gr.on([pad.input, pad.release], None, pad, [x, y], js=TO_SLIDERS, **PRIVATE)
    gr.on([x.input, y.input, x.release, y.release], None, [x, y], pad, js=TO_PAD, **PRIVATE)
    clicks = [render.click, view.cards.click]
    gr.on(clicks, None, None, view.progress, js=waiting("point"), **PRIVATE)
    form = [visit, *view.form, x, y, view.recipe]
    at_point = render.click(
        actions.at, form, shown, api_name="at", trigger_mode="always_last", **QUIET, **HEAVY
    )
    latest: dict[str, Any] = {"trigger_mode": "always_last", **PRIVATE, **HEAVY}
    at_sliders = gr.on([x.release, y.release], actions.at_sliders, form, shown, **latest)
    dragged = [visit, pad, view.recipe, *view.form]
    at_pad = pad.release(actions.at_pad, dragged, shown, **latest)
    moving = pad.input(actions.quick, dragged, shown, **latest)
    sliding = gr.on([x.input, y.input], actions.quick_sliders, form, shown, **latest)
    # A move makes a full picture of the last point pointless: stop that first.
    pad.start(None, None, None, cancels=[at_point, at_sliders, at_pad])
    source, prompt, *rest = view.form
    subjects = rest[:6]
    filled = view.cards.click(
        actions.fill, None, [source, prompt, *subjects, view.seed, x, y, pad], queue=False,
        **PRIVATE,
    )  # fmt: skip
    example = filled.then(actions.at, form, shown, **PRIVATE, **HEAVY)
    named = [source, *view.nouns]
    gr.on(
        [widget.change for widget in named], actions.name_corners, named, pad,
        trigger_mode="always_last", **PRIVATE,
    )  # fmt: skip
    return [at_point, at_sliders, at_pad, moving, sliding, example]


def _atlas(engine: Engine, visit: gr.State, view: Explore) -> Any:
    """The grid, filled coarse to fine; the event that paints it."""
    actions, exports = ExploreActions(engine), ExportActions(engine)
    with gr.Accordion(t("Atlas: the whole square"), open=True, elem_id="atlas-panel"):
        with gr.Row(elem_classes="le-actions"):
            size = gr.Slider(*GRID_SIDES, 5, step=1, label=t("Grid size"), elem_id="grid-size")
            whole = gr.Button(t("Paint what is missing"), elem_id="grid")
        cost = gr.HTML(elem_id="grid-cost", elem_classes="le-cost")
        cells = gr.Gallery(
            label=t("Grid: click a cell to go there"),
            columns=5,
            object_fit="contain",
            format="png",
            height="auto",
            buttons=["download", "download_all", "fullscreen"],
            interactive=False,
            allow_preview=False,
            elem_id="cells",
        )
        export = gr.Button(t("Save sheet and zip"), size="sm", elem_id="grid-export")
        files = gr.File(
            label=t("Files"), interactive=False, visible=False, file_count="multiple",
            elem_id="grid-files",
        )  # fmt: skip
    view.extent.append(size)
    view.costs.append(cost)
    whole.click(None, None, view.progress, js=waiting("grid"), **PRIVATE)
    whole.click(actions.make_room, size, cells, queue=False, **PRIVATE)
    painted = whole.click(
        actions.grid, [visit, *view.form, size, view.recipe], [cells, view.progress],
        api_name="grid", **QUIET, **HEAVY,
    )  # fmt: skip
    painted.success(actions.lay_under, [visit, size], view.pad, **PRIVATE)
    opened = [view.picture, view.x, view.y, view.pad]
    cells.select(actions.open_cell, [visit, size, view.recipe], opened, queue=False, **PRIVATE)
    export.click(exports.sheet, [visit, size, view.recipe], files, **PRIVATE)
    return painted


def _path(engine: Engine, visit: gr.State, view: Explore) -> Any:
    """Frames along a path; the event that paints them."""
    exports = ExportActions(engine)
    with gr.Accordion(t("Path through the square"), open=False, elem_id="path-panel"):
        routes = [(t(ROUTE_LABELS[name]), name) for name in ROUTES]
        route = gr.Radio(
            routes,
            value="diagonal",
            label=t("Route"),
            info=t("While it is to be drawn, the square draws instead of painting."),
            elem_id="route",
        )
        line = Line(label=t("Points of the drawn line"), visible="hidden", elem_id="line")
        with gr.Row(elem_classes="le-actions"):
            count = gr.Slider(*FRAMES, 12, step=1, label=t("Number of frames"), elem_id="frames")
            go = gr.Button(t("Paint the path"), elem_id="path-paint")
        cost = gr.HTML(elem_id="path-cost", elem_classes="le-cost")
        frames = gr.Gallery(
            label=t("Frames"), columns=6, object_fit="contain", format="png", height="auto",
            buttons=["download_all", "fullscreen"], interactive=False, elem_id="path-frames",
        )  # fmt: skip
        with gr.Row(elem_classes="le-actions"):
            fps = gr.Slider(
                *paths.FPS_RANGE, paths.FPS, step=1, label=t("Frames per second"), elem_id="fps"
            )
            loop = gr.Checkbox(label=t("Forth and back"), value=True, elem_id="loop")
            export = gr.Button(
                t("Save GIF, MP4, sheet, JSON and zip"), size="sm", elem_id="path-export"
            )
        files = gr.File(
            label=t("Files"), interactive=False, visible=False, file_count="multiple",
            elem_id="path-files",
        )  # fmt: skip
    route.change(
        lambda name: gr.update(
            drawing=name == DRAWN, path=[] if name == DRAWN else paths.along(name, 2)
        ),
        route, view.pad, queue=False, **PRIVATE,
    )  # fmt: skip
    view.pad.apply(exports.drawn, None, [line, route], queue=False, **PRIVATE)
    go.click(None, None, view.progress, js=waiting("path-paint"), **PRIVATE)
    painted = go.click(
        exports.path, [visit, *view.form, route, line, count, view.recipe],
        [frames, view.progress], api_name="path", **QUIET, **HEAVY,
    )  # fmt: skip
    export.click(exports.film, [visit, fps, loop, view.recipe], files, **PRIVATE)
    view.extent.append(count)
    view.costs.append(cost)
    return painted
