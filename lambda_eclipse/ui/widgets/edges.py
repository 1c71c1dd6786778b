"""The layout from edges: detected in a picture, or drawn by hand."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse.request import CANNY_HIGH, CANNY_LOW, Request
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import errors_as_messages
from lambda_eclipse.ui.events import PRIVATE, QUIET
from lambda_eclipse.ui.form import EDGES_DRAWN, EDGES_FROM_PICTURE, EDGES_OFF
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.saving import png_bytes
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.pictures import (
    Canvas,
    canvas,
    painted_area,
    result_picture,
    upload,
)

CANVAS_PX = 384
MAX_THRESHOLD = 500
LINE_COLOUR = "#ffffff"
LAYOUT_LABELS = {
    EDGES_OFF: mark("Off"),
    EDGES_FROM_PICTURE: mark("From a picture"),
    EDGES_DRAWN: mark("Drawing"),
}
BACKGROUND = Image.new("RGB", (CANVAS_PX, CANVAS_PX), "black")


@dataclass(frozen=True)
class Edges:
    """The widgets of the panel."""

    panel: gr.Accordion
    layout: gr.Radio
    picture: gr.Image
    low: gr.Slider
    high: gr.Slider
    view: gr.Image
    canvas: gr.ImageEditor

    @property
    def form(self) -> dict[str, gr.components.Component]:
        """The widgets by field of `ComposeForm`; a drawing is used as the shown map."""
        return {
            "layout": self.layout,
            "edges_from": self.picture,
            "edges_low": self.low,
            "edges_high": self.high,
            "edge_map": self.view,
        }


def canvas_of_map(edge_map: Image.Image | None = None) -> Canvas:
    """A canvas, empty or with an edge map as its lines."""
    layer = Image.new("RGBA", BACKGROUND.size)
    if edge_map is not None:
        lines = edge_map.convert("L").resize(layer.size).point(lambda level: 255 * (level > 127))
        layer.paste(LINE_COLOUR, mask=lines)
    return {"background": BACKGROUND, "layers": [layer], "composite": None}


def map_of_canvas(value: Canvas | None, size_px: int) -> Image.Image | None:
    """The lines on a canvas as an edge map, RGB, white on black; None without any."""
    lines = painted_area(value, CANVAS_PX, min_alpha=128)
    if not lines.getbbox():
        return None
    small = lines.resize((size_px, size_px), Image.Resampling.BOX)
    return small.point(lambda level: 255 * (level > 63)).convert("RGB")


@dataclass(frozen=True)
class EdgesActions:
    """The handlers, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def edges(
        self, visit: Visit, picture: str | None, low: float = CANNY_LOW, high: float = CANNY_HIGH
    ) -> Image.Image | None:
        """The Canny edge map of a picture, white on black.

        Parameters:
            picture: What to find edges in.
            low: The lower threshold, from 0 to 500.
            high: The upper threshold, from `low` to 500.
        """
        if not picture:
            return None
        visit.uploads.add(picture)
        with errors_as_messages():
            request = Request("", canny=picture, canny_low=int(low), canny_high=int(high))
            return self.engine.wait().edges(request)  # the map that painting uses

    def draw(self, visit: Visit, value: Canvas | None) -> str | None:
        """The edge map of the canvas, as a file."""
        with errors_as_messages():
            size_px = self.engine.wait().models.stack.edges_px
            edge_map = map_of_canvas(value, size_px)
        return None if edge_map is None else visit.file("edges.png", png_bytes(edge_map))

    def switch(
        self,
        visit: Visit,
        layout: str,
        picture: str | None,
        low: float,
        high: float,
        value: Canvas | None,
    ) -> Image.Image | str | None:
        """The edge map of the layout that was switched to."""
        if layout == EDGES_FROM_PICTURE:
            return self.edges(visit, picture, low, high)
        return self.draw(visit, value) if layout == EDGES_DRAWN else None


def show_columns(layout: str) -> list[Any]:
    """Which columns belong to a layout: picture and thresholds, the canvas, the map."""
    shown = (layout == EDGES_FROM_PICTURE, layout == EDGES_DRAWN, layout != EDGES_OFF)
    return [gr.update(visible=visible) for visible in shown]


def edges_panel() -> Edges:
    """Lay out the panel, closed and switched off."""
    with gr.Accordion(
        t("Edge control (Canny, optional)"), open=False, elem_id="edges-panel"
    ) as panel:
        choices = [(t(text), name) for name, text in LAYOUT_LABELS.items()]
        layout = gr.Radio(choices, value=EDGES_OFF, label=t("Edge source"), elem_id="edges-source")
        with gr.Row():
            with gr.Column(visible=False, min_width=200, elem_id="edges-by-picture") as by_picture:
                picture = upload(t("Picture"), 200, "edges-from")
                low = _threshold(CANNY_LOW, t("Low threshold"), "edges-low")
                high = _threshold(CANNY_HIGH, t("High threshold"), "edges-high")
            # Made when it is shown: an editor that starts out hidden can't be drawn on.
            with gr.Column(visible=False, min_width=280, elem_id="edges-by-hand") as by_hand:
                drawing = canvas(
                    t("Draw lines"),
                    CANVAS_PX,
                    LINE_COLOUR,
                    brush_px=5,
                    eraser_px=20,
                    value=canvas_of_map(),
                    elem_id="edges-canvas",
                )
            with gr.Column(visible=False, min_width=160, elem_id="edges-map") as shown:
                view = result_picture(t("Edge map"), 200, "edge-map")
    layout.change(show_columns, layout, [by_picture, by_hand, shown], queue=False, **PRIVATE)
    return Edges(panel, layout, picture, low, high, view, drawing)


def _threshold(value: int, label: str, elem_id: str) -> gr.Slider:
    return gr.Slider(0, MAX_THRESHOLD, value, step=5, label=label, elem_id=elem_id)


def wire_edges(actions: EdgesActions, edges: Edges, visit: gr.State) -> None:
    """Show the map of a picture or a drawing at once."""
    source = [edges.picture, edges.low, edges.high]
    latest: dict[str, Any] = {"trigger_mode": "always_last"}
    gr.on(
        [widget.change for widget in source],
        actions.edges,
        [visit, *source],
        edges.view,
        api_name="edges",
        **latest,
        **QUIET,
    )
    edges.layout.input(
        actions.switch, [visit, edges.layout, *source, edges.canvas], edges.view, **PRIVATE
    )
    edges.canvas.input(actions.draw, [visit, edges.canvas], edges.view, **latest, **PRIVATE)
