"""Jobs on a square: its points, its grid cells, the frames of a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from lambda_eclipse.explore.atlas import place, point
from lambda_eclipse.explore.route import Point
from lambda_eclipse.ui.explore_form import FROM_PICTURES, SquareForm
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import Painted, embedded
from lambda_eclipse.ui.run import Run, share

if TYPE_CHECKING:
    from torch import Tensor

    from lambda_eclipse.pipeline import Studio
    from lambda_eclipse.request import Mode


def paint_point(studio: Studio, run: Run, form: SquareForm, x: float, y: float) -> Painted:
    """The picture at a point of the square; x and y in [0, 1]."""
    corners = _corners(studio, run, form)
    run.begin(t("Generating the point ({x}, {y})", x=f"{x:.2f}", y=f"{y:.2f}"))
    return _paint(studio, run, form, corners, (x, y))


def paint_cells(
    studio: Studio, run: Run, form: SquareForm, size: int, cells: Sequence[tuple[int, int]]
) -> None:
    """Paint cells of a size × size grid; report (place, Painted) for each."""
    corners = _corners(studio, run, form)
    for index, cell in enumerate(cells):
        text = t("Generating cell {number} of {count}", number=index + 1, count=len(cells))
        run.begin(text, share(index, len(cells)))
        at = place(*cell, size)
        run.emit((at, _paint(studio, run, form, corners, point(at))))


def paint_frames(studio: Studio, run: Run, form: SquareForm, points: Sequence[Point]) -> None:
    """Paint the points of a path in order; report (point, Painted) for each."""
    corners = _corners(studio, run, form)
    for index, at in enumerate(points):
        text = t("Generating frame {number} of {count}", number=index + 1, count=len(points))
        run.begin(text, share(index, len(points)))
        run.emit((at, _paint(studio, run, form, corners, at)))


def _paint(studio: Studio, run: Run, form: SquareForm, corners: Tensor, at: Point) -> Painted:
    from lambda_eclipse.keep.recipe import Recipe

    seed, sampling = int(form.seed), form.sampling
    picture = studio.at(corners, *at, cast("Mode", form.mode), seed, sampling, on_step=run.on_step)
    recipe = Recipe.from_point(studio, picture, sampling, prompt=form.prompt or "")
    return Painted(picture, recipe, None, f"({at[0]:.2f}, {at[1]:.2f})")


def _corners(studio: Studio, run: Run, form: SquareForm) -> Tensor:
    """(4, D) embeddings of the corners, cached for all points of the square."""
    from lambda_eclipse.keep.reproduction import corners_of

    def make() -> Tensor:
        run.begin(t("Encoding the four pictures"))
        if form.corners_from == FROM_PICTURES:
            return corners_of(studio, form.corners)
        with studio.models.encoders():
            a, b = ([embedded(studio, run, slot) for slot in pair] for pair in form.versions)
            return studio.square(form.prompt or "", a, b, int(form.seed))

    return run.cached(("corners", replace(form, mode="", steps=0, guidance=0)), make)
