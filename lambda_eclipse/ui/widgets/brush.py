"""A picture under the brush: its mask as a layer to paint on, and back again.

Gradio's editor puts a layer right only where it is as large as the canvas, so both are squares of
one size with the picture in the middle.
"""

from typing import Any

from PIL import Image

from lambda_eclipse.ui.i18n import t

SIDE_PX = 512
COLOUR = "#ea580c"
LAYER_RGBA = (234, 88, 12, 170)
SOLID = 128
TOUCHED = 8  # of 255: a stroke's soft rim belongs to it


def under_brush(picture: Image.Image, mask: Image.Image) -> dict[str, Any]:
    """A picture and its mask, both of any size, as the brush editor takes them."""
    box = _box(picture.size)
    size = (box[2] - box[0], box[3] - box[1])
    ground = Image.new("RGBA", (SIDE_PX, SIDE_PX))
    ground.paste(picture.convert("RGBA").resize(size), box)
    layer = Image.new("RGBA", ground.size)
    solid = mask.convert("L").resize(size).point(lambda level: 255 * (level >= SOLID))
    layer.paste(LAYER_RGBA, box, solid)
    return {"background": ground, "layers": [layer], "composite": None}


def painted_mask(editor: dict[str, Any] | None, size: tuple[int, int]) -> Image.Image:
    """L, the mask of a picture of that size: whatever is painted in any layer of the editor.

    ValueError when nothing is.
    """
    mask = Image.new("L", (SIDE_PX, SIDE_PX))
    for layer in (editor or {}).get("layers") or []:
        alpha = layer.convert("RGBA").getchannel("A").resize(mask.size)
        mask.paste(255, mask=alpha.point(lambda level: 255 * (level > TOUCHED)))
    mask = mask.crop(_box(size))
    if not mask.getbbox():
        raise ValueError(t("Nothing is painted: paint over the subject first."))
    return mask.resize(size)


def _box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where in the square a picture lies, with its aspect kept."""
    scale = SIDE_PX / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    left, top = (SIDE_PX - width) // 2, (SIDE_PX - height) // 2
    return left, top, left + width, top + height
