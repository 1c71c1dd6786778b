"""The atlas of Fig. 7: a square's pictures on an N × N grid, painted cell by cell.

A cell is known by the exact place it stands for, so that what is painted for N = 3 is used again
for N = 5 and 9. Rows count from the top, columns from the left, both from 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction

from PIL import Image, ImageDraw, ImageFont

from lambda_eclipse.explore.contact_sheet import contact_sheet
from lambda_eclipse.explore.route import Point, zipped
from lambda_eclipse.messages import StudioError

Place = tuple[Fraction, Fraction]  # (row, column) as fractions of the square's side

GAP_PX = 4
MIN_FONT_PX = 6
BLANK = (238, 238, 238)


def place(row: int, column: int, size: int) -> Place:
    """The place (row, column), as fractions in [0, 1], of a cell of a size × size grid.

    Equal for all cells of all grids that stand for one point. StudioError for a cell outside the
    grid and for a size under 2.
    """
    _check_size(size)
    if not (0 <= row < size and 0 <= column < size):
        raise StudioError(
            "Row {row}, column {column} is outside a grid of {size} × {size} cells.",
            row=row,
            column=column,
            size=size,
        )
    return Fraction(row, size - 1), Fraction(column, size - 1)


def point(at: Place) -> Point:
    """A place as (x, y) in [0, 1]², the way `Studio.at` takes it."""
    row, column = at
    return float(column), float(row)


def coarse_to_fine(size: int) -> Iterator[tuple[int, int]]:
    """All cells of a size × size grid: corners first, then the middle, then what lies between.

    A grid that is stopped early has then been sampled evenly instead of from the top.
    """
    _check_size(size)
    seen: set[tuple[int, int]] = set()
    parts = 1
    while len(seen) < size * size:
        ticks = [round(i * (size - 1) / parts) for i in range(parts + 1)]
        for row in ticks:
            for column in ticks:
                if (row, column) not in seen:
                    seen.add((row, column))
                    yield row, column
        parts *= 2


def missing(size: int, done: Collection[Place]) -> list[tuple[int, int]]:
    """The cells of a size × size grid that are not among the places `done`, coarse to fine."""
    return [cell for cell in coarse_to_fine(size) if place(*cell, size) not in done]


def sheet(
    cells: Mapping[Place, Image.Image],
    size: int,
    across: tuple[str, str],
    down: tuple[str, str],
    label_px: int = 20,
) -> Image.Image:
    """A size × size grid on one RGB picture, with the names of its axes' ends at the corners.

    cells: finished pictures by place; those of other grids are left out, and cells that are not
    finished are blank. across: what the left and the right edge stand for, written above;
    down: the upper and the lower edge, written on the left. label_px: height of that margin.
    StudioError when no cell of this grid is finished.
    """
    places = [place(row, column, size) for row in range(size) for column in range(size)]
    found = [cells[at] for at in places if at in cells]
    if not found:
        raise _unfinished(size)
    blank = Image.new("RGB", found[0].size, BLANK)
    inside = contact_sheet([cells.get(at, blank) for at in places], size, gap_px=GAP_PX)
    out = Image.new("RGB", (inside.width + label_px, inside.height + label_px), "white")
    out.paste(inside, (label_px, label_px))
    out.paste(_axis(across, inside.width, label_px), (label_px, 0))
    # Read from below, as on the axis of a plot: the lower end comes first and the strip is turned.
    turned = _axis(down[::-1], inside.height, label_px).transpose(Image.Transpose.ROTATE_90)
    out.paste(turned, (0, label_px))
    return out


def to_zip(cells: Mapping[Place, bytes], size: int) -> bytes:
    """The finished cells of a size × size grid, each the bytes of a PNG file, in a zip.

    Named by row and column counted from 1: "row-1_column-3.png". StudioError when none is
    finished.
    """
    digits = len(str(size))
    files = {
        f"row-{row + 1:0{digits}}_column-{column + 1:0{digits}}.png": cells[at]
        for row in range(size)
        for column in range(size)
        if (at := place(row, column, size)) in cells
    }
    if not files:
        raise _unfinished(size)
    return zipped(files)


def _axis(ends: tuple[str, str], length_px: int, height_px: int) -> Image.Image:
    """RGB, length_px × height_px: an end's name on either side and an arrow between them."""
    strip = Image.new("RGB", (length_px, height_px), "white")
    draw = ImageDraw.Draw(strip)
    middle = height_px // 2
    room = length_px // 2 - 3 * GAP_PX
    widths = []
    for text, x, anchor in ((ends[0], GAP_PX, "lm"), (ends[1], length_px - GAP_PX, "rm")):
        font = _fitting(text, room, 0.6 * height_px)
        draw.text((x, middle), text, fill="black", font=font, anchor=anchor)
        widths.append(font.getlength(text))
    start, stop = widths[0] + 3 * GAP_PX, length_px - widths[1] - 3 * GAP_PX
    if stop - start > 4 * GAP_PX:
        draw.line((start, middle, stop, middle), fill="gray")
        for end, inward in ((start, GAP_PX), (stop, -GAP_PX)):
            draw.line((end + inward, middle - 3, end, middle), fill="gray")
            draw.line((end + inward, middle + 3, end, middle), fill="gray")
    return strip


def _fitting(
    text: str, width_px: float, height_px: float
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font at `height_px`, or as much smaller as `text` needs to be no wider than that."""
    length = ImageFont.load_default(height_px).getlength(text)
    size = height_px * min(1.0, width_px / max(length, 1.0))
    return ImageFont.load_default(max(size, MIN_FONT_PX))


def _unfinished(size: int) -> StudioError:
    return StudioError(
        "No cell of the {rows} × {columns} grid is finished: paint it first.",
        rows=size,
        columns=size,
    )


def _check_size(size: int) -> None:
    if size < 2:
        raise StudioError("A grid has {size} cells along a side: use at least 2.", size=size)
