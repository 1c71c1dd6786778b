"""The canvas for painting a mask: from a picture and its mask to layers of the editor, and back.

Gradio's editor aligns a layer with the canvas only if both have the same size, so both are squares
of one size with the picture in the middle.
"""

from PIL import Image

from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.widgets.pictures import Canvas, painted_area

SIDE_PX = 512
COLOUR = "#ea580c"
LAYER_RGBA = (234, 88, 12, 170)
OPAQUE = 128
MIN_ALPHA = 9  # of 255: includes the soft edge of a stroke


def with_mask(picture: Image.Image, mask: Image.Image) -> Canvas:
    """The editor's value for a picture and its mask, both of any size."""
    box = _box(picture.size)
    size = (box[2] - box[0], box[3] - box[1])
    background = Image.new("RGBA", (SIDE_PX, SIDE_PX))
    background.paste(picture.convert("RGBA").resize(size), box)
    layer = Image.new("RGBA", background.size)
    opaque = mask.convert("L").resize(size).point(lambda level: 255 * (level >= OPAQUE))
    layer.paste(LAYER_RGBA, box, opaque)
    return {"background": background, "layers": [layer], "composite": None}


def mask_of_canvas(canvas: Canvas | None, size: tuple[int, int]) -> Image.Image:
    """The mask, L, of a picture of that size: everything painted in any layer of the canvas.

    ValueError when nothing is painted.
    """
    mask = painted_area(canvas, SIDE_PX, MIN_ALPHA).crop(_box(size))
    if not mask.getbbox():
        raise ValueError(t("The mask is empty: paint over the subject first."))
    return mask.resize(size)


def _box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box of a picture in the square, with its aspect ratio kept."""
    scale = SIDE_PX / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    left, top = (SIDE_PX - width) // 2, (SIDE_PX - height) // 2
    return left, top, left + width, top + height
