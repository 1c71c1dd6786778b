"""Layout from edges: found in a picture, or drawn by hand."""

import io
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse.request import CANNY_HIGH, CANNY_LOW
from lambda_eclipse.ui.common import PRIVATE, QUIET, upload
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.text import reading
from lambda_eclipse.ui.visit import Visit

OFF, PICTURE, DRAWING = "off", "picture", "drawing"
CANVAS_PX = 384
EDITOR_PX = 420
VIEW_PX = 256  # the map that is shown; the one that is used is found anew in the decoder's size
INK = "#ffffff"
PAPER = Image.new("RGB", (CANVAS_PX, CANVAS_PX), "black")
SOURCE_LABELS = {OFF: mark("Off"), PICTURE: mark("From a picture"), DRAWING: mark("Drawn by hand")}


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
    def form(self) -> list[gr.components.Component]:
        """Its part of the form; in a drawing the shown map is the one that is used."""
        return [self.layout, self.picture, self.low, self.high, self.view]


def blank_canvas(drawn: Image.Image | None = None) -> dict[str, Any]:
    """The canvas, empty or with an edge map on it to go on from."""
    layer = Image.new("RGBA", PAPER.size)
    if drawn is not None:
        lines = drawn.convert("L").resize(PAPER.size).point(lambda level: 255 * (level > 127))
        layer.paste(INK, mask=lines)
    return {"background": PAPER, "layers": [layer], "composite": None}


def drawn_map(editor: dict[str, Any] | None, size_px: int) -> Image.Image | None:
    """The lines in an editor as an edge map, RGB, white on black; None without any."""
    lines = Image.new("L", PAPER.size)
    for layer in (editor or {}).get("layers") or []:
        alpha = layer.convert("RGBA").getchannel("A").resize(PAPER.size)
        lines.paste(255, mask=alpha.point(lambda level: 255 * (level > 127)))
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
    ) -> Any:
        """The Canny edge map of a picture, white on black.

        Parameters:
            picture: What to find edges in.
            low: The lower threshold, from 0 to 500.
            high: The upper threshold, from `low` to 500.
        """
        if not picture:
            return None
        visit.uploads.add(picture)
        # OpenCV takes a moment to import, and nothing else of the page needs it.
        from lambda_eclipse.canny import edge_map
        from lambda_eclipse.images import open_picture

        with reading():
            image = open_picture(picture, "edge picture")
            return edge_map(image, int(low), int(high), size_px=VIEW_PX)

    def drawn(self, visit: Visit, canvas: Any) -> Any:
        """The map of what is drawn."""
        with reading():
            size_px = self.engine.wait().models.decoder.native_size_px
            found = drawn_map(canvas, size_px)
        if found is None:
            return None
        out = io.BytesIO()
        found.save(out, "PNG")
        return visit.file("edges.png", out.getvalue())

    def switched(self, visit: Visit, layout: str, *form: Any) -> Any:
        """The map of the source that was switched to; form: picture, thresholds, canvas."""
        *picture, canvas = form
        if layout == PICTURE:
            return self.edges(visit, *picture)
        return self.drawn(visit, canvas) if layout == DRAWING else None


def show(layout: str) -> list[Any]:
    """What belongs to the chosen source: picture and thresholds, the canvas, the map."""
    wanted = (layout == PICTURE, layout == DRAWING, layout != OFF)
    return [gr.update(visible=visible) for visible in wanted]


def edges_panel() -> Edges:
    """Lay out the panel, closed and switched off."""
    with gr.Accordion(
        t("Layout from edges (optional)"), open=False, elem_id="edges-panel"
    ) as panel:
        choices = [(t(label), name) for name, label in SOURCE_LABELS.items()]
        layout = gr.Radio(
            choices, value=OFF, label=t("Edges say where things go"), elem_id="edges-source"
        )
        with gr.Row():
            with gr.Column(visible=False, min_width=200, elem_id="edges-by-picture") as by_picture:
                picture = upload(t("Picture"), 200, "edges-from")
                low = gr.Slider(
                    0, 500, CANNY_LOW, step=5, label=t("Low threshold"), elem_id="edges-low"
                )
                high = gr.Slider(
                    0, 500, CANNY_HIGH, step=5, label=t("High threshold"), elem_id="edges-high"
                )
            # Made when it is shown: an editor that starts out hidden can't be drawn on.
            with gr.Column(visible=False, min_width=280, elem_id="edges-by-hand") as by_hand:
                canvas = gr.ImageEditor(
                    blank_canvas(), label=t("Draw lines"), type="pil", format="png", sources=(),
                    transforms=(), layers=False, buttons=[], height=EDITOR_PX,
                    canvas_size=PAPER.size, fixed_canvas=True,
                    brush=gr.Brush(default_size=5, colors=[INK], color_mode="fixed"),
                    eraser=gr.Eraser(default_size=20), elem_id="edges-canvas",
                    elem_classes="le-canvas",
                )  # fmt: skip
            with gr.Column(visible=False, min_width=160, elem_id="edges-map") as shown:
                view = gr.Image(
                    label=t("Edge map"), interactive=False, height=200, format="png",
                    type="filepath", buttons=["download", "fullscreen"], elem_id="edge-map",
                )  # fmt: skip
    layout.change(show, layout, [by_picture, by_hand, shown], queue=False, **PRIVATE)
    return Edges(panel, layout, picture, low, high, view, canvas)


def wire_edges(actions: EdgesActions, edges: Edges, visit: gr.State) -> None:
    """Show the map of a picture or a drawing at once."""
    gr.on(
        [edges.picture.change, edges.low.change, edges.high.change], actions.edges,
        [visit, edges.picture, edges.low, edges.high], edges.view, trigger_mode="always_last",
        api_name="edges", **QUIET,
    )  # fmt: skip
    edges.layout.input(
        actions.switched,
        [visit, edges.layout, edges.picture, edges.low, edges.high, edges.canvas], edges.view,
        **PRIVATE,
    )  # fmt: skip
    edges.canvas.input(
        actions.drawn, [visit, edges.canvas], edges.view, trigger_mode="always_last", **PRIVATE
    )
