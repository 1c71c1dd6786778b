"""Reading the Explore form, and the pictures that are laid under the square."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from lambda_eclipse.explore.atlas import Place, place
from lambda_eclipse.ui.compose.jobs import Part
from lambda_eclipse.ui.explore.jobs import Square
from lambda_eclipse.ui.form import read_sampling, read_seed
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.widgets.pad import CORNER_LABELS, CORNER_NAMES

SUBJECTS, PICTURES = "subjects", "pictures"
BACKDROP_PX = 72  # side of one cell in the picture that is laid under the square
EMPTY_CELL_RGBA = (148, 163, 184, 48)


def read_square(form: Sequence[Any]) -> Square:
    """Check the form, in the order of `ExploreActions.at`; ValueError says what is missing."""
    source, prompt, noun_a, a1, a2, noun_b, b1, b2, *corners, mode, steps, guidance, seed = form
    tuning = {"seed": read_seed(seed), "mode": mode, **read_sampling(steps, guidance)}
    text = (prompt or "").strip()
    if source == PICTURES:
        named = zip(CORNER_NAMES, corners, strict=True)
        missing = [t(CORNER_LABELS[name]) for name, path in named if not path]
        if missing:
            raise ValueError(
                t(
                    "The square needs four corners. Still missing: {missing}.",
                    missing=", ".join(missing),
                )
            )
        return Square(text, (), (), tuple(map(str, corners)), **tuning)
    names = [
        t("picture {number} of subject {letter}", number=i, letter=letter)
        for letter in "AB"
        for i in (1, 2)
    ]
    missing = [name for name, path in zip(names, (a1, a2, b1, b2), strict=True) if not path]
    if missing:
        raise ValueError(
            t(
                "The square needs four pictures. Still missing: {missing}.",
                missing=", ".join(missing),
            )
        )
    if not text:
        raise ValueError(t("The prompt is empty: name both subjects in a short sentence."))
    a, b = ((noun or "").strip() for noun in (noun_a, noun_b))
    if not a or not b:
        raise ValueError(t("Name both subjects with the words that stand for them in the prompt."))
    one, two = ((Part(a, a1), Part(a, a2)), (Part(b, b1), Part(b, b2)))
    return Square(text, one, two, (), **tuning)


def complete(form: Sequence[Any]) -> bool:
    """Whether nothing is missing: the quick view asks this, because it must not complain."""
    source, subjects, corners = form[0], form[1:8], form[8:12]
    return all(corners if source == PICTURES else subjects)


def backdrop(cells: Mapping[Place, str], size: int) -> str:
    """The finished cells of a grid, by place, as one small picture for the square: a data URI.

    The centre of a cell lies where the handle asks for that cell, so the outer cells are cut in
    half by the edge of the square.
    """
    sheet = Image.new("RGB", (size * BACKDROP_PX, size * BACKDROP_PX), "gray")
    for row in range(size):
        for column in range(size):
            path = cells.get(place(row, column, size))
            if path is not None:
                with Image.open(path) as picture:
                    small = picture.convert("RGB").resize((BACKDROP_PX, BACKDROP_PX))
                sheet.paste(small, (column * BACKDROP_PX, row * BACKDROP_PX))
    half = BACKDROP_PX // 2
    sheet = sheet.crop((half, half, sheet.width - half, sheet.height - half))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def empty_cell() -> bytes:
    """What stands in the grid for a cell that is not painted, as PNG."""
    out = io.BytesIO()
    Image.new("RGBA", (BACKDROP_PX, BACKDROP_PX), EMPTY_CELL_RGBA).save(out, "PNG")
    return out.getvalue()
