"""Pictures of grid cells: below the square, and in place of unpainted cells."""

import base64
import io
from collections.abc import Mapping

from PIL import Image

from lambda_eclipse.explore.atlas import Place, place
from lambda_eclipse.ui.saving import png_bytes

CELL_PX = 72
EMPTY_RGBA = (148, 163, 184, 48)


def backdrop(cells: Mapping[Place, str], size: int) -> str:
    """The finished cells of a grid as one small picture below the square: a data URI.

    The centre of a cell lies at the point that it shows, so the edge of the square cuts the outer
    cells in half.
    """
    sheet = Image.new("RGB", (size * CELL_PX, size * CELL_PX), "gray")
    for row in range(size):
        for column in range(size):
            path = cells.get(place(row, column, size))
            if path is not None:
                with Image.open(path) as picture:
                    small = picture.convert("RGB").resize((CELL_PX, CELL_PX))
                sheet.paste(small, (column * CELL_PX, row * CELL_PX))
    half = CELL_PX // 2
    sheet = sheet.crop((half, half, sheet.width - half, sheet.height - half))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def empty_cell() -> bytes:
    """The PNG shown for an unpainted cell."""
    return png_bytes(Image.new("RGBA", (CELL_PX, CELL_PX), EMPTY_RGBA))
