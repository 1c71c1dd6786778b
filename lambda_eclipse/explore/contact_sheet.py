"""Contact sheets: several pictures on one, with labels."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from lambda_eclipse.images import flatten


def contact_sheet(
    images: Sequence[Image.Image],
    columns: int,
    labels: Sequence[str] | None = None,
    gap_px: int = 4,
) -> Image.Image:
    """Pictures of any sizes side by side on white, row by row, each with its label beneath.

    Every cell has the size of the largest picture; smaller ones are centred.
    Raises ValueError without pictures, for `columns` under 1, and for unmatched labels.
    """
    if not images or columns < 1:
        raise ValueError("a contact sheet needs at least one picture and one column")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} pictures")
    font = ImageFont.load_default()
    label_px = 16 if labels is not None else 0
    cell_w = max(image.width for image in images)
    cell_h = max(image.height for image in images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width = columns * (cell_w + gap_px) + gap_px
    height = rows * (cell_h + label_px + gap_px) + gap_px
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, image in enumerate(images):
        left = gap_px + (i % columns) * (cell_w + gap_px)
        top = gap_px + (i // columns) * (cell_h + label_px + gap_px)
        offset = ((cell_w - image.width) // 2, (cell_h - image.height) // 2)
        sheet.paste(flatten(image), (left + offset[0], top + offset[1]))
        if labels is not None:
            text = _fitting(labels[i], font, cell_w)
            draw.text((left, top + cell_h + 1), text, fill="black", font=font)
    return sheet


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    """`text`, shortened with dots until the font draws it within `width_px`."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "...") > width_px:
        text = text[:-1]
    return text + "..."
