"""What the page asks of the studio about a square: its points, its cells, the frames of a path."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lambda_eclipse.explore.atlas import place, point
from lambda_eclipse.explore.route import Point
from lambda_eclipse.request import Sampling
from lambda_eclipse.ui.compose.jobs import Painted, Part, embedded
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Run


@dataclass(frozen=True)
class Square:
    """The Explore form after it was checked.

    Either two versions each of two subjects, `a` and `b`; or four picture files, `corners`, from
    top left to bottom right.
    """

    prompt: str
    a: tuple[Part, ...]
    b: tuple[Part, ...]
    corners: tuple[str, ...]
    seed: int
    mode: str
    steps: int | None
    guidance: float | None


def paint_point(studio: Any, run: Run, square: Square, x: float, y: float) -> Painted:
    """The picture at one point of the square; x and y in [0, 1]."""
    corners = _corners(studio, run, square)
    run.say(t("Painting the point ({x}, {y})", x=f"{x:.2f}", y=f"{y:.2f}"))
    return _painted(studio, run, square, corners, (x, y))


def cells(
    studio: Any, run: Run, square: Square, size: int, todo: Sequence[tuple[int, int]]
) -> None:
    """Paint cells of a size × size grid and emit (place, Painted) for each as it is finished."""
    corners = _corners(studio, run, square)
    for index, cell in enumerate(todo):
        run.say(
            t("Painting cell {number} of {count}", number=index + 1, count=len(todo)),
            _share(index, len(todo)),
        )
        at = place(*cell, size)
        run.emit((at, _painted(studio, run, square, corners, point(at))))


def frames(studio: Any, run: Run, square: Square, line: Sequence[Point]) -> None:
    """Paint the points of a path in turn and emit (point, Painted) for each."""
    corners = _corners(studio, run, square)
    for index, at in enumerate(line):
        run.say(
            t("Painting frame {number} of {count}", number=index + 1, count=len(line)),
            _share(index, len(line)),
        )
        run.emit((at, _painted(studio, run, square, corners, at)))


def _painted(studio: Any, run: Run, square: Square, corners: Any, at: Point) -> Painted:
    from lambda_eclipse.keep.recipe import Recipe

    sampling = Sampling(square.steps, square.guidance)
    picture = studio.at(corners, *at, square.mode, square.seed, sampling, on_step=run.on_step)
    recipe = Recipe.from_point(studio, picture, sampling, prompt=square.prompt)
    return Painted(picture, recipe, None, f"({at[0]:.2f}, {at[1]:.2f})")


def _corners(studio: Any, run: Run, square: Square) -> Any:
    """The four corner embeddings, (4, D), kept for the next point of the same square."""
    from lambda_eclipse.keep.reproduction import corners_of

    def make() -> Any:
        run.say(t("Reading the four pictures"))
        if square.corners:
            return corners_of(studio, square.corners)
        with studio.models.encoders():
            a, b = ([embedded(studio, run, part) for part in pair] for pair in (square.a, square.b))
            return studio.square(square.prompt, a, b, square.seed)

    return run.remember((square.prompt, square.a, square.b, square.corners, square.seed), make)


def _share(index: int, total: int) -> tuple[float, float]:
    return index / total, (index + 1) / total
