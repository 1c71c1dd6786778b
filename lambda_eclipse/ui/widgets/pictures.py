"""Widgets for pictures: uploads, results, galleries, canvases to paint on."""

from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse.ui.i18n import t

SOURCES = ["upload", "webcam", "clipboard"]
CANVAS_HEIGHT_PX = 420
Canvas = dict[str, Any]  # the value of an image editor


def upload(label: str, height_px: int, elem_id: str) -> gr.Image:
    """An input for a picture. The file is passed on unchanged: the core reads it."""
    return gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        sources=SOURCES,
        buttons=[],
        height=height_px,
        min_width=120,
        placeholder=t("Drop or click"),
        elem_id=elem_id,
        elem_classes="le-upload",
    )


def result_picture(label: str, height_px: int, elem_id: str, **options: Any) -> gr.Image:
    """A picture to look at and to download."""
    return gr.Image(
        label=label,
        interactive=False,
        format="png",
        type="filepath",
        height=height_px,
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
        **options,
    )


def gallery(label: str, columns: int, elem_id: str, **options: Any) -> gr.Gallery:
    """A gallery of results as high as its content."""
    return gr.Gallery(
        label=label,
        columns=columns,
        object_fit="contain",
        format="png",
        height="auto",
        interactive=False,
        elem_id=elem_id,
        **options,
    )


def choices(label: str, columns: int, elem_id: str) -> gr.Gallery:
    """A gallery whose pictures are chosen by a click, not enlarged."""
    return gallery(label, columns, elem_id, buttons=[], allow_preview=False)


def canvas(
    label: str, side_px: int, colour: str, brush_px: int, eraser_px: int, **options: Any
) -> gr.ImageEditor:
    """A square to paint on with one colour."""
    return gr.ImageEditor(
        label=label,
        type="pil",
        format="png",
        sources=(),
        transforms=(),
        layers=False,
        buttons=[],
        height=CANVAS_HEIGHT_PX,
        canvas_size=(side_px, side_px),
        fixed_canvas=True,
        brush=gr.Brush(default_size=brush_px, colors=[colour], color_mode="fixed"),
        eraser=gr.Eraser(default_size=eraser_px),
        elem_classes="le-canvas",
        **options,
    )


def painted_area(value: Canvas | None, side_px: int, min_alpha: int) -> Image.Image:
    """L, side_px × side_px: 255 where any layer's alpha is at least `min_alpha`, else 0."""
    area = Image.new("L", (side_px, side_px))
    for layer in (value or {}).get("layers") or []:
        alpha = layer.convert("RGBA").getchannel("A").resize(area.size)
        area.paste(255, mask=alpha.point(lambda level: 255 * (level >= min_alpha)))
    return area
