"""What the Explore view does: paint a point of the square, its cells, or a path through it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.explore.atlas import missing, place, point
from lambda_eclipse.request import GRID_SIDES
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore import jobs as jobs_square
from lambda_eclipse.ui.explore.form import (
    SUBJECTS,
    backdrop,
    complete,
    empty_cell,
    read_square,
)
from lambda_eclipse.ui.explore.jobs import Square
from lambda_eclipse.ui.form import STACKS_OWN
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.saving import given, save
from lambda_eclipse.ui.text import cost_text, progress_html, reporting
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import EXPLORE
from lambda_eclipse.ui.widgets.pad import CORNERS

BLANK = (gr.skip(), progress_html(note=""))
AS_BEFORE = (gr.skip(), gr.skip())  # a handler that yields nothing at all empties what it shows
MAX_SQUARES = 4  # whose cells a visit keeps


@dataclass(frozen=True)
class ExploreActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def at(
        self,
        visit: Visit,
        corners_from: str,
        prompt: str | None = None,
        noun_a: str | None = None, picture_a1: str | None = None, picture_a2: str | None = None,
        noun_b: str | None = None, picture_b1: str | None = None, picture_b2: str | None = None,
        top_left: str | None = None, top_right: str | None = None,
        bottom_left: str | None = None, bottom_right: str | None = None,
        mode: str = "slerp", steps: float = STACKS_OWN, guidance: float = paper.GUIDANCE,
        seed: float = 0, x: float = 0.5, y: float = 0.5, with_recipe: bool = True,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint one point of a square between four pictures, or between two subjects.

        (0, 0) is the top left corner or the first version of both subjects, (1, 0) the second
        version of A, (0, 1) the second version of B.

        Parameters:
            corners_from: "subjects" for two versions each of A and B, "pictures" for four pictures.
            prompt: For subjects: a short English sentence that names both.
            noun_a: The word of the prompt that subject A is.
            picture_a1: The first version of A.
            picture_a2: The second version of A.
            noun_b: The word of the prompt that subject B is.
            picture_b1: The first version of B.
            picture_b2: The second version of B.
            top_left: For pictures: one with a recipe counts as what it was painted from.
            top_right: As top_left, and so are the other two.
            mode: "slerp" along the sphere of embeddings, or "lerp" straight.
            steps: Denoising steps, from 1 to 100; more take longer. 0: as many as are best for
                the stack, with its own guidance.
            guidance: How closely to follow the embedding, from 0 to 20.
            seed: A whole number; equal seeds give equal pictures.
            x: Across, from 0 to 1.
            y: Down, from 0 to 1.
            with_recipe: Write into the PNG what paints it again.
        """

        def values() -> Iterator[tuple]:
            visit.rest = (float(x), float(y))
            square = read_square((
                corners_from, prompt, noun_a, picture_a1, picture_a2, noun_b, picture_b1,
                picture_b2, top_left, top_right, bottom_left, bottom_right, mode, steps, guidance,
                seed,
            ))  # fmt: skip
            _remember(visit, square)
            yield from self._point(visit, square, float(x), float(y), bool(with_recipe))

        yield from reporting(values(), BLANK)

    def at_sliders(self, visit: Visit, *form: Any) -> Iterator[tuple]:
        """`at` for the sliders: they tell of a release, too, when the focus only passes by."""
        *_, x, y, _ = form
        if (float(x), float(y)) == visit.rest:
            yield AS_BEFORE
        else:
            yield from self.at(visit, *form)

    def at_pad(
        self, visit: Visit, point: tuple[float, float], recipe: bool, *form: Any
    ) -> Iterator[tuple]:
        """`at` for the square itself, when it was let go."""
        yield from self.at(visit, *form, *point, recipe)

    def quick(
        self, visit: Visit, point: tuple[float, float], recipe: bool, *form: Any
    ) -> Iterator[tuple]:
        """`at` in few steps, while the point still moves."""
        *corners, steps, guidance, seed = form
        if not complete(form) or tuple(point) == visit.rest:
            yield AS_BEFORE
            return
        stack = self.engine.wait().models.stack
        if steps == STACKS_OWN:
            steps, guidance = stack.steps, stack.guidance
        few = min(int(steps), stack.draft_steps)
        for value in self.at(visit, *corners, few, guidance, seed, *point, recipe):
            visit.rest = None
            yield value

    def quick_sliders(self, visit: Visit, *form: Any) -> Iterator[tuple]:
        """`quick` for the sliders."""
        *form, x, y, recipe = form
        yield from self.quick(visit, (x, y), recipe, *form)

    def _point(
        self, visit: Visit, square: Square, x: float, y: float, with_recipe: bool
    ) -> Iterator[tuple]:
        job = visit.own(jobs_square.paint_point)
        with closing(self.engine.run(job, square, x, y)) as updates:
            for update in updates:
                if update.done:
                    name = f"point-{x:.2f}-{y:.2f}-{square.seed}"
                    path = save(visit, update.result, with_recipe, name)
                    seconds = f"{update.result.picture.seconds:.1f}"
                    note = t(
                        "({x}, {y}) · seed {seed} · {steps} steps · {seconds} s",
                        x=f"{x:.2f}",
                        y=f"{y:.2f}",
                        seed=square.seed,
                        steps=update.result.recipe.request.sampling.steps,
                        seconds=seconds,
                    )
                    yield path, progress_html(note=note)
                else:
                    yield gr.skip(), progress_html(update)

    def grid(
        self,
        visit: Visit,
        corners_from: str,
        prompt: str | None = None,
        noun_a: str | None = None, picture_a1: str | None = None, picture_a2: str | None = None,
        noun_b: str | None = None, picture_b1: str | None = None, picture_b2: str | None = None,
        top_left: str | None = None, top_right: str | None = None,
        bottom_left: str | None = None, bottom_right: str | None = None,
        mode: str = "slerp", steps: float = STACKS_OWN, guidance: float = paper.GUIDANCE,
        seed: float = 0, size: float = 5, with_recipe: bool = True,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint size × size points of a square, row by row in the result.

        Corners come first, then what lies between. Cells that were painted before in this visit,
        for another size too, are not painted again. The other parameters are those of `at`.

        Parameters:
            corners_from: "subjects" for two versions each of A and B, "pictures" for four pictures.
            size: Points along a side, from 2 to 9.
            with_recipe: Write into each PNG what paints it again.
        """

        def values() -> Iterator[tuple]:
            if not GRID_SIDES[0] <= size <= GRID_SIDES[1]:
                low, high = GRID_SIDES
                raise ValueError(
                    t(
                        "A grid of {size} × {size}: choose a size from {low} to {high}.",
                        size=int(size),
                        low=low,
                        high=high,
                    )
                )
            square = read_square((
                corners_from, prompt, noun_a, picture_a1, picture_a2, noun_b, picture_b1,
                picture_b2, top_left, top_right, bottom_left, bottom_right, mode, steps, guidance,
                seed,
            ))  # fmt: skip
            _remember(visit, square)
            yield from self._cells(visit, square, int(size), bool(with_recipe))

        yield from reporting(values(), BLANK)

    def _cells(self, visit: Visit, square: Square, size: int, with_recipe: bool) -> Iterator[tuple]:
        done = cells_of(visit, square)
        empty = visit.file("empty.png", empty_cell())
        todo = missing(size, done)

        def gallery() -> list:
            places = [place(row, column, size) for row in range(size) for column in range(size)]
            return [given(visit, done[at], with_recipe) if at in done else empty for at in places]

        yield gallery(), progress_html(Update(t("Starting")))
        job = visit.own(jobs_square.cells)
        with closing(self.engine.run(job, square, size, todo)) as updates:
            for update in updates:
                if update.payload:
                    at, painted = update.payload
                    name = _cell_name(at, size, square.seed)
                    done[at] = save(visit, painted, True, name)
                    yield gallery(), progress_html(update)
                elif not update.done:
                    yield gr.skip(), progress_html(update)
        # Clients get what is yielded last, so it is complete once more.
        note = t(
            "{size} × {size} cells · {new} painted now · seed {seed} · drag across them",
            size=size,
            seed=square.seed,
            new=len(todo),
        )
        yield gallery(), progress_html(note=note)

    def costs(self, visit: Visit, size: float, frames: float, *form: Any) -> tuple[str, str]:
        """The time that the missing cells of a grid, and that a path would take on this machine."""
        try:
            done = visit.cells.get(read_square(form), ())
        except (ValueError, gr.Error):  # what is missing is said at the click
            done = ()
        steps, pace = self.engine.steps(int(form[-3])), self.engine.pace
        cells = len(missing(int(size), done))
        return cost_text(pace, cells, steps), cost_text(pace, int(frames), steps)

    def make_room(self, size: float) -> dict[str, Any]:
        """As many columns as the grid will have."""
        return gr.update(columns=int(size))

    def lay_under(self, visit: Visit, size: float) -> dict[str, Any]:
        """The finished cells under the square."""
        if visit.square is None:
            return gr.skip()
        return gr.update(backdrop=backdrop(cells_of(visit, visit.square), int(size)))

    def open_cell(self, event: gr.SelectData, visit: Visit, size: float, recipe: bool) -> list[Any]:
        """A click on a cell: its picture, and the point where it lies."""
        row, column = divmod(int(event.index), int(size))
        at = place(min(row, int(size) - 1), column, int(size))
        path = cells_of(visit, visit.square).get(at) if visit.square else None
        x, y = visit.rest = point(at)
        return [given(visit, path, recipe) if path else gr.skip(), x, y, (x, y)]

    def name_corners(self, source: str, noun_a: str, noun_b: str) -> dict[str, Any]:
        """Labels of the square's corners in the visitor's own words."""
        a, b = (noun_a or "").strip(), (noun_b or "").strip()
        if source != SUBJECTS:
            return gr.update(corners=[""] * 4)
        if not a or not b:
            return gr.update(corners=list(CORNERS))
        pairs = ((1, 1), (2, 1), (1, 2), (2, 2))
        return gr.update(corners=[f"{a} {i} + {b} {j}" for i, j in pairs])

    def fill(self, event: gr.EventData) -> list:
        """The form of an example: source, prompt, two subjects, seed; and the middle."""
        example = [example for example in EXPLORE if example.complete()][event.index]
        a1, a2, b1, b2 = (str(path) for path in example.files())
        noun_a, noun_b = example.subjects[0][0], example.subjects[2][0]
        middle = [0.5, 0.5, (0.5, 0.5)]
        subjects = [noun_a, a1, a2, noun_b, b1, b2]
        return [SUBJECTS, example.prompt, *subjects, example.seed, *middle]


def cells_of(visit: Visit, square: Square) -> dict:
    """The files of a square's finished cells by place; the visit keeps those of a few squares."""
    cells = visit.cells.setdefault(square, {})
    for at, path in list(cells.items()):
        if not Path(path).is_file():  # files are deleted after an hour
            del cells[at]
    visit.cells.move_to_end(square)
    while len(visit.cells) > MAX_SQUARES:
        visit.cells.popitem(last=False)
    return cells


def _remember(visit: Visit, square: Square) -> None:
    visit.square = square
    parts = [part.picture for part in (*square.a, *square.b)]
    visit.uploads.update([*parts, *square.corners])


def _cell_name(at: tuple, size: int, seed: int) -> str:
    row, column = (round(float(share) * (size - 1)) + 1 for share in at)
    return f"row-{row}-column-{column}-seed-{seed}"
