"""The panels below the square: a grid over it, and a path through it."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lambda_eclipse.explore import route as routes
from lambda_eclipse.request import GRID_SIDES
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.events import HEAVY, PRIVATE, QUIET, show_waiting
from lambda_eclipse.ui.explore.exports import DRAWN, FRAMES, ExportActions
from lambda_eclipse.ui.explore.handlers import ExploreActions
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.widgets.pictures import gallery
from lambda_eclipse.ui.widgets.square_pad import Line, SquarePad

ROUTE_LABELS: dict[str, str] = {
    "top": mark("top edge"),
    "bottom": mark("bottom edge"),
    "left": mark("left edge"),
    "right": mark("right edge"),
    "diagonal": mark("diagonal from top left"),
    "antidiagonal": mark("diagonal from top right"),
    DRAWN: mark("freehand"),
}


@dataclass(frozen=True)
class Panel:
    """A panel that paints several pictures.

    extent: their number, or the side of the grid. cost: the estimated time. painted: the event.
    """

    extent: gr.Slider
    cost: gr.HTML
    painted: Any


def grid_panel(
    engine: Engine, square: list[Any], point: list[Any], progress: gr.HTML, recipe: gr.Checkbox
) -> Panel:
    """The grid, filled coarse to fine.

    square: the visit and the widgets of the form. point: picture, x, y and pad, which a click on a
    cell sets.
    """
    actions, exports = ExploreActions(engine), ExportActions(engine)
    visit, pad = square[0], point[-1]
    with gr.Accordion(t("Grid"), open=True, elem_id="atlas-panel"):
        with gr.Row(elem_classes="le-actions"):
            size = gr.Slider(*GRID_SIDES, 5, step=1, label=t("Grid size"), elem_id="grid-size")
            go = gr.Button(t("Fill missing cells"), elem_id="grid")
        cost = gr.HTML(elem_id="grid-cost", elem_classes="le-cost")
        cells = gallery(
            t("Cells: click to move the point"),
            5,
            "cells",
            buttons=["download", "download_all", "fullscreen"],
            allow_preview=False,
        )
        export = gr.Button(t("Export sheet and ZIP"), size="sm", elem_id="grid-export")
        files = _files("grid-files")
    go.click(None, None, progress, js=show_waiting("grid"), **PRIVATE)
    go.click(actions.set_columns, size, cells, queue=False, **PRIVATE)
    painted = go.click(
        actions.grid,
        [*square, size, recipe],
        [cells, progress],
        api_name="grid",
        **QUIET,
        **HEAVY,
    )
    painted.success(actions.show_backdrop, [visit, size], pad, **PRIVATE)
    cells.select(actions.open_cell, [visit, size, recipe], point, queue=False, **PRIVATE)
    export.click(exports.sheet, [visit, size, recipe], files, **PRIVATE)
    return Panel(size, cost, painted)


def path_panel(
    engine: Engine, square: list[Any], pad: SquarePad, progress: gr.HTML, recipe: gr.Checkbox
) -> Panel:
    """Frames along a path. square: the visit and the widgets of the form."""
    exports, visit = ExportActions(engine), square[0]
    with gr.Accordion(t("Path through the square"), open=False, elem_id="path-panel"):
        route = gr.Radio(
            [(t(text), name) for name, text in ROUTE_LABELS.items()],
            value="diagonal",
            label=t("Route"),
            info=t("With “freehand”, dragging in the square draws the path."),
            elem_id="route",
        )
        line = Line(label=t("Points of the freehand path"), visible="hidden", elem_id="line")
        with gr.Row(elem_classes="le-actions"):
            count = gr.Slider(*FRAMES, 12, step=1, label=t("Number of frames"), elem_id="frames")
            go = gr.Button(t("Generate path"), elem_id="path-paint")
        cost = gr.HTML(elem_id="path-cost", elem_classes="le-cost")
        frames = gallery(t("Frames"), 6, "path-frames", buttons=["download_all", "fullscreen"])
        with gr.Row(elem_classes="le-actions"):
            fps = gr.Slider(
                *routes.FPS_RANGE, routes.FPS, step=1, label=t("Frame rate (FPS)"), elem_id="fps"
            )
            loop = gr.Checkbox(label=t("Loop back and forth"), value=True, elem_id="loop")
            export = gr.Button(
                t("Export GIF, MP4, sheet, JSON and ZIP"), size="sm", elem_id="path-export"
            )
        files = _files("path-files")
    route.change(_show_route, route, pad, queue=False, **PRIVATE)
    pad.apply(exports.use_drawn_line, None, [line, route], queue=False, **PRIVATE)
    go.click(None, None, progress, js=show_waiting("path-paint"), **PRIVATE)
    painted = go.click(
        exports.path,
        [*square, route, line, count, recipe],
        [frames, progress],
        api_name="path",
        **QUIET,
        **HEAVY,
    )
    export.click(exports.film, [visit, fps, loop, recipe], files, **PRIVATE)
    return Panel(count, cost, painted)


def _show_route(name: str) -> dict[str, Any]:
    """The route in the square; "drawn" makes the square ready for drawing."""
    drawn = name == DRAWN
    return gr.update(drawing=drawn, path=[] if drawn else routes.along(name, 2))


def _files(elem_id: str) -> gr.File:
    return gr.File(
        label=t("Files"),
        interactive=False,
        visible=False,
        file_count="multiple",
        elem_id=elem_id,
    )
